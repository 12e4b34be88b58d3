"""Listens on port 6500, and tells each client how many have come."""

import socket

server = socket.create_server(("0.0.0.0", 6500))
count = 0
while True:
    client, _ = server.accept()
    count += 1
    client.sendall(b"%d\n" % count)
    client.close()
