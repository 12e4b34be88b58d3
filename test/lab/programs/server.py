"""What the scenarios about connections move: services of every kind on the ports below, IPv4 and IPv6.

7 echoes lines. 8 reads nothing until /tmp/read is there, then all, and answers with its digest. 9 writes BYTES and the
digest of them. 10 listens with a queue of 4 and accepts while /tmp/accept is there; each connection is echoed. UDP 7
echoes datagrams. Arguments HOST:PORT are connections that it opens itself: it counts on them and prints how it goes."""
import hashlib, os, random, socket, sys, threading, time

BYTES = 6_000_000

def say(*words):
    """In one piece: threads write at the same time."""
    os.write(1, ' '.join(map(str, words)).encode() + b'\n')

def echo(connection):
    with connection:
        while data := connection.recv(65536): connection.sendall(data)

def sink(connection):
    with connection:
        while not os.path.exists('/tmp/read'): time.sleep(0.02)
        digest = hashlib.sha256()
        while data := connection.recv(65536): digest.update(data)
        connection.sendall(digest.hexdigest().encode())

def flood(connection):
    with connection:
        data = random.Random(9).randbytes(BYTES)
        connection.sendall(data + hashlib.sha256(data).hexdigest().encode())

def accept(listener, serve, when=None):
    while True:
        while when and not os.path.exists(when): time.sleep(0.02)
        connection, _ = listener.accept()
        threading.Thread(target=guarded, args=(serve, connection), daemon=True).start()
        if when: time.sleep(0.1)

def guarded(serve, connection):
    try: serve(connection)
    except OSError as error: say('broken', error)

def datagrams(udp):
    while True:
        data, peer = udp.recvfrom(2048)
        try: udp.sendto(data, peer)
        except OSError as error: say('broken', 'datagram for', peer, error)

def count(place):
    """Each number there and back; says `PLACE N` now and then, and what went wrong."""
    host, port = place.rsplit(':', 1)
    try:
        connection = socket.create_connection((host.strip('[]'), int(port)))
        lines = connection.makefile('r')
        for n in range(1 << 40):
            connection.sendall(b'%d\n' % n)
            if (got := lines.readline()) != f'{n}\n': raise OSError(f'{got!r} for {n}')
            if n % 10 == 0: say(place, n)
            time.sleep(0.02)
    except OSError as error: say(place, 'broken', error)

for family, any_address in ((socket.AF_INET, '0.0.0.0'), (socket.AF_INET6, '::')):
    for port, backlog, *service in ((7, 64, echo), (8, 64, sink), (9, 64, flood), (10, 4, echo, '/tmp/accept')):
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6: listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((any_address, port))
        listener.listen(backlog)
        threading.Thread(target=accept, args=(listener, *service), daemon=True).start()
    udp = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6: udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    udp.bind((any_address, 7))
    threading.Thread(target=datagrams, args=(udp,), daemon=True).start()
say('ready')
for place in sys.argv[1:]: threading.Thread(target=count, args=(place,), daemon=True).start()
threading.Event().wait()
