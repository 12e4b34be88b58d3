"""
Three processes, each with three threads, that count to a parent, which checks every number: through pipes, and one
through a TCP connection of the host's own loopback device.
"""
import os, select, socket, struct, sys, threading, time


def work(out):
    lock = threading.Lock()
    count = [0]

    def run():
        while True:
            with lock:
                count[0] += 1
                os.write(out, struct.pack("Q", count[0]))
            time.sleep(0.005)

    for _ in range(2):
        threading.Thread(target=run, daemon=True).start()
    run()


def connection():
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.create_connection(server.getsockname())
        return server.accept()[0].detach(), one.detach()


pipes = []
for make in (os.pipe, os.pipe, connection):
    r, w = make()
    if os.fork() == 0:
        os.close(r)
        work(w)
    os.close(w)
    pipes.append(r)

poll = select.epoll()
for r in pipes:
    poll.register(r, select.EPOLLIN)
expected = {r: 1 for r in pipes}
told = 0
while True:
    for r, _ in poll.poll():
        data = os.read(r, 8)
        if len(data) < 8:
            sys.exit("a worker ended")
        (number,) = struct.unpack("Q", data)
        if number != expected[r]:
            sys.exit(f"{number} came in the place of {expected[r]}")
        expected[r] += 1
    if time.time() > told + 0.1:
        told = time.time()
        print(min(expected.values()), flush=True)
