#!/usr/bin/python3
"""mem.py MB [HZ]: holds MB of incompressible memory and changes one byte of HZ scattered pages a second.

Before a page is changed it is compared with what was last written to it, so memory that was moved wrongly shows
itself: a line of output says MISMATCH. Every 0.1 s a line tells the number of changes so far, as does HTTP on port 80.
"""

import array
import os
import select
import signal
import socket
import sys
import time
import zlib

PAGE = 4096
TICK = 0.01


def main():
    megabytes = int(sys.argv[1])
    hz = float(sys.argv[2]) if len(sys.argv) > 2 else 100.0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    memory = bytearray(megabytes << 20)
    for start in range(0, len(memory), 1 << 20):
        memory[start : start + (1 << 20)] = os.urandom(1 << 20)
    view = memoryview(memory)
    pages = len(memory) // PAGE
    sums = array.array("L", (zlib.crc32(view[p * PAGE : (p + 1) * PAGE]) for p in range(pages)))
    server = socket.create_server(("", 80))
    print(f"holding {megabytes} MB", flush=True)

    step, due, seed, told = 0, 0.0, 1, time.monotonic()
    while True:
        if select.select([server], [], [], TICK)[0]:
            answer(server, step)
        # By ticks and not by the clock: after a pause there is nothing to catch up with.
        due += hz * TICK
        while due >= 1:
            due -= 1
            step += 1
            seed = (seed * 6364136223846793005 + 1442695040888963407) % (1 << 64)
            number = (seed >> 20) % pages
            page = view[number * PAGE : (number + 1) * PAGE]
            if zlib.crc32(page) != sums[number]:
                print(f"MISMATCH at step {step} in page {number}", flush=True)
            page[seed % PAGE] = (page[seed % PAGE] + 1) % 256
            sums[number] = zlib.crc32(page)
        if abs(time.monotonic() - told) >= 0.1:
            told = time.monotonic()
            print(f"step {step}", flush=True)


def answer(server, step):
    client, _ = server.accept()
    with client:
        client.settimeout(1)
        try:
            client.recv(65536)
            body = f"{step}\n"
            client.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
        except OSError:
            pass


main()
