"""One client of server.py: `client.py KIND HOST PORT`. Prints a line of JSON when it is under way, and one with all that
it saw when its input ends (or, `fill` and `drain`, when all has come).

count     numbers there and back, each with the next 10 ms
datagrams the same by UDP; connected is another kind, which takes answers from that place only
fill      writes until nothing is taken any more, then the rest, and compares the server's digest with its own
drain     reads nothing at first, then all, and compares it with the digest at the end
late      connects, and only then asks
visitors  a new connection every 50 ms, which asks a second and a half later
serve     echoes, for connections that a workload opens (HOST is where it listens)"""
import hashlib, json, random, socket, sys, threading, time

kind, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
PATIENCE_S = 3

def say(**seen): print(json.dumps(seen), flush=True)

def connect(receive_buffer=None):
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    connection = socket.socket(family)
    if receive_buffer: connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.connect((host, port))
    return connection

def count():
    connection, seen = connect(), {'sent': 0, 'received': 0, 'longestGapMs': 0}
    def read():
        try:
            last = time.monotonic()
            for line in connection.makefile('r'):
                if int(line) != seen['received']: raise OSError(f'{line!r} in the place of {seen["received"]}')
                seen['received'] += 1
                seen['longestGapMs'] = max(seen['longestGapMs'], round((time.monotonic() - last) * 1000))
                last = time.monotonic()
        except OSError as error: seen['error'] = str(error)
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    say(open=True)
    try:
        while not ended.wait(0.01):
            connection.sendall(b'%d\n' % seen['sent'])
            seen['sent'] += 1
        connection.shutdown(socket.SHUT_WR)
    except OSError as error: seen['error'] = str(error)
    reader.join(PATIENCE_S)
    say(**seen)

def datagrams(connected):
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    udp = socket.socket(family, socket.SOCK_DGRAM)
    if connected: udp.connect((host, port))
    got, seen = [], {'sent': 0, 'foreign': 0, 'errors': 0}
    def read():
        while True:
            try:
                data, peer = udp.recvfrom(2048)
                if peer[:2] != (host, port): seen['foreign'] += 1
                got.append(int(data))
            except OSError: seen['errors'] += 1
    threading.Thread(target=read, daemon=True).start()
    say(open=True)
    while not ended.wait(0.02):
        try: udp.send(b'%d' % seen['sent']) if connected else udp.sendto(b'%d' % seen['sent'], (host, port))
        except OSError: seen['errors'] += 1
        seen['sent'] += 1
    time.sleep(0.3)
    missing = sorted(set(range(seen['sent'])) - set(got))
    say(**seen, missing=missing, repeated=len(got) - len(set(got)), reordered=sum(a > b for a, b in zip(got, got[1:])))

def fill():
    connection, data = connect(), random.Random(8).randbytes(12_000_000)
    connection.settimeout(0.5)
    at, told = 0, False
    while at < len(data):
        try: at += connection.send(data[at:at + 65536])
        except TimeoutError:
            if not told: say(full=at)
            told = True
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(30)
    answer = connection.makefile().read()
    say(whole=answer == hashlib.sha256(data).hexdigest())

def drain():
    connection = connect(receive_buffer=30_000)
    say(open=True)
    ended.wait()
    data = b''.join(iter(lambda: connection.recv(65536), b''))
    say(bytes=len(data), whole=hashlib.sha256(data[:-64]).hexdigest().encode() == data[-64:])

def late():
    try:
        connection = connect()
        say(open=True)
        ended.wait()
        connection.sendall(b'hi\n')
        connection.settimeout(10)
        say(answer=connection.recv(9).decode())
    except OSError as error: say(error=str(error))

def visitors():
    seen = {'sent': 0, 'received': 0}
    def visit():
        try:
            with connect() as connection:
                time.sleep(1.5)
                connection.sendall(b'hi\n')
                connection.settimeout(10)
                if connection.recv(9) != b'hi\n': raise OSError('no answer')
                seen['received'] += 1
        except OSError as error: seen['error'] = str(error)
    say(open=True)
    threads = []
    while not ended.wait(0.05):
        seen['sent'] += 1
        threads.append(threading.Thread(target=visit))
        threads[-1].start()
    for thread in threads: thread.join()
    say(**seen)

def serve():
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ':' in host else socket.AF_INET)
    def echo(connection):
        try:
            while data := connection.recv(65536): connection.sendall(data)
        except OSError: pass
    def accept():
        while True: threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    say(open=True)
    ended.wait()

try:
    {'count': count, 'datagrams': lambda: datagrams(False), 'connected': lambda: datagrams(True), 'fill': fill,
     'drain': drain, 'late': late, 'visitors': visitors, 'serve': serve}[kind]()
except OSError as error: say(error=str(error))
