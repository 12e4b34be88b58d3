#!/bin/sh
# The baseline: what one would script today with Docker's own checkpoint, as far as it goes. Runs on the source.
# Usage: baseline.sh CONTAINER root@TARGET COPY-ID; prints the milliseconds from the checkpoint to the end of the start.
# Done beforehand, and not counted: docker save | ssh docker load, and docker create of the copy.
set -eu
container=$1 target=$2 copy=$3
id=$(docker inspect -f '{{.Id}}' "$container")
upper=$(docker inspect -f '{{.GraphDriver.Data.UpperDir}}' "$container")
copy_upper=$(ssh "$target" docker inspect -f '{{.GraphDriver.Data.UpperDir}}' "$copy")
start=$(date +%s%N)
docker checkpoint create "$container" move >/dev/null
tar -C "/var/lib/docker/containers/$id/checkpoints" -c move | ssh "$target" tar -C "/var/lib/docker/containers/$copy/checkpoints" -x
tar -C "$upper" --xattrs -c . | ssh "$target" tar -C "$copy_upper" --xattrs -x
ssh "$target" docker start --checkpoint move "$copy" >/dev/null
end=$(date +%s%N)
echo $(((end - start) / 1000000))
