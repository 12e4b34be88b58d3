#!/bin/sh
# The baseline: what one would script today with Docker's own checkpoint, as far as it goes. Runs on the source.
# Usage: baseline.sh CONTAINER root@TARGET COPY-ID [PORT...]; prints the milliseconds from the checkpoint to the end of
# the start. The ports are forwarded by ssh from the source to the target, which goes on until `ssh -S /run/baseline.ssh
# -O exit root@TARGET`; containers that publish any are taken to have clients, whose connections CRIU is told to close.
# Done beforehand, and not counted: docker save | ssh docker load, and docker create of the copy.
set -eu
container=$1 target=$2 copy=$3
shift 3
id=$(docker inspect -f '{{.Id}}' "$container")
upper=$(docker inspect -f '{{.GraphDriver.Data.UpperDir}}' "$container")
copy_upper=$(ssh "$target" docker inspect -f '{{.GraphDriver.Data.UpperDir}}' "$copy")
forwards=
for port in "$@"; do forwards="$forwards -L *:$port:127.0.0.1:$port"; done
if [ $# -gt 0 ]; then
  # Docker has no option for it; without it, CRIU refuses a container with connections.
  options='mkdir -p /etc/criu; printf "tcp-close\nskip-in-flight\n" >/etc/criu/runc.conf'
  sh -c "$options" && ssh "$target" "$options"
  trap 'rm -f /etc/criu/runc.conf; ssh "$target" rm -f /etc/criu/runc.conf' EXIT
fi
start=$(date +%s%N)
docker checkpoint create "$container" move >/dev/null
tar -C "/var/lib/docker/containers/$id/checkpoints" -c move | ssh "$target" tar -C "/var/lib/docker/containers/$copy/checkpoints" -x
tar -C "$upper" --xattrs -c . | ssh "$target" tar -C "$copy_upper" --xattrs -x
# shellcheck disable=SC2086
[ $# -eq 0 ] || ssh -f -N -M -S /run/baseline.ssh -o ExitOnForwardFailure=yes $forwards "$target" >/dev/null 2>&1
ssh "$target" docker start --checkpoint move "$copy" >/dev/null
end=$(date +%s%N)
echo $(((end - start) / 1000000))
