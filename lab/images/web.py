#!/usr/bin/python3
"""HTTP on port 80 (/ is a page, /bulk has no end), an echo of lines on port 7, and on port 13 a count for each connection."""
import asyncio
import itertools

PAGE = b'It is here, wherever here is.\n'
BLOCK = bytes(1 << 18)
callers = itertools.count(1)


async def http(reader, writer):
    while request := await reader.readline():
        close = False
        while (header := await reader.readline()) not in (b'\r\n', b'\n', b''):
            close = close or header.lower().split() == [b'connection:', b'close']
        if request.split()[1:2] == [b'/bulk']:
            return await bulk(writer)
        how = b'close' if close else b'keep-alive'
        head = b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: %s\r\n\r\n' % (len(PAGE), how)
        writer.write(head + PAGE)
        await writer.drain()
        if close:
            return


async def bulk(writer):
    writer.write(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n')
    while True:
        writer.write(BLOCK)
        await writer.drain()


async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()


async def count(_, writer):
    number, peer = next(callers), '%s port %d' % writer.get_extra_info('peername')[:2]
    for i in itertools.count(1):
        writer.write(b'connection %d, from %s: %d\n' % (number, peer.encode(), i))
        await writer.drain()
        await asyncio.sleep(0.05)


def served(talk):
    async def serve(reader, writer):
        try:
            await talk(reader, writer)
        except (OSError, ValueError):
            pass  # The client went, or sent a line without an end.
        writer.close()

    return serve


async def main():
    ports = {80: http, 7: echo, 13: count}
    servers = [await asyncio.start_server(served(talk), None, port, backlog=1000) for port, talk in ports.items()]
    print('ready', flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


asyncio.run(main())
