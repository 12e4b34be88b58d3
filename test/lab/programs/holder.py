"""
Holds two kinds of locks, a deleted file, a zombie, a timer, a signal that waits, a child that watches the directory
(inotify), and Unix sockets to one that leads a session of its own; counts what it still has.
"""
import fcntl, os, select, signal, socket, sys, time

lock = open("held.lock", "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
other = open("held.flock", "w")
fcntl.flock(other, fcntl.LOCK_EX)
ghost = open("ghost", "w+b")
ghost.write(b"still here" * 1000)
ghost.flush()
os.unlink("ghost")
if os.fork() == 0:
    os._exit(7)

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
os.kill(os.getpid(), signal.SIGUSR1)

unnamed, theirs = socket.socketpair()
server = socket.socket(socket.AF_UNIX)
server.bind("held.sock")
server.listen()
child = os.fork()
if child == 0:
    os.setsid()
    unnamed.close()
    named = socket.socket(socket.AF_UNIX)
    named.connect("held.sock")
    while data := theirs.recv(100):
        named.send(data + b" %d %d" % (os.getsid(0), os.getpgid(0)))
    os._exit(0)
theirs.close()
named = server.accept()[0]

watch, dots = os.pipe()
if os.fork() == 0:
    os.dup2(dots, 1)
    os.execv("./watch", ["watch"])
os.close(dots)
poll = select.epoll()
poll.register(watch, select.EPOLLIN)
time.sleep(0.1)

ticks = [0]
signal.signal(signal.SIGALRM, lambda *_: ticks.__setitem__(0, ticks[0] + 1))
signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
rounds = 0
while True:
    rounds += 1
    ghost.seek(0)
    content = ghost.read()
    if content[:10000] != b"still here" * 1000 or len(content) != 10000 + 4 * (rounds - 1):
        sys.exit("the deleted file is another one")
    ghost.write(b"more")
    ghost.flush()
    open("made", "w").close()
    if not poll.poll(1) or os.read(watch, 100) != b".":
        sys.exit("it was not told of a file that was made")
    os.unlink("made")
    if signal.SIGUSR1 not in signal.sigpending():
        sys.exit("the signal does not wait any more")
    unnamed.send(b"%d" % rounds)
    if named.recv(100) != b"%d %d %d" % (rounds, child, child):
        sys.exit("the child answers something else")
    print(rounds, ticks[0], flush=True)
    time.sleep(0.1)
