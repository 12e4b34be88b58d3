#!/bin/sh
# Moves a tree of processes as one would with criu alone: dump, tar over ssh, restore. Without a target, dump and restore
# on this host: the floor. Images are in memory, and what the program has in /srv/bench goes along.
# Usage: process-moves.sh PID [root@TARGET]; prints the milliseconds from the dump to the end of the restore.
set -eu
pid=$1 target=${2-}
images=/run/bench-images
on() { if [ -n "$target" ]; then ssh "$target" "$@"; else "$@"; fi; }
umount "$images" 2>/dev/null || :
mkdir -p "$images"
mount -t tmpfs -o size=4g bench "$images"
if [ -n "$target" ]; then
  on "umount $images 2>/dev/null; mkdir -p $images && mount -t tmpfs -o size=4g bench $images"
fi
start=$(date +%s%N)
criu dump --tree "$pid" --images-dir "$images" --log-file dump.log
if [ -n "$target" ]; then
  tar -C "$images" -c . | ssh "$target" tar -C "$images" -x
  tar -C / -c srv/bench | ssh "$target" tar -C / -x
fi
on criu restore --images-dir "$images" --log-file restore.log --restore-detached </dev/null >/dev/null 2>&1
end=$(date +%s%N)
echo $(((end - start) / 1000000))
umount "$images"
[ -z "$target" ] || on umount "$images"
