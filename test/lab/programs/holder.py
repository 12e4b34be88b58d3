"""Holds two kinds of locks, a deleted file and a zombie, has an inotify watch and a timer; counts what it still has."""
import fcntl, os, signal, sys, time

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
    print(rounds, ticks[0], flush=True)
    time.sleep(0.1)
