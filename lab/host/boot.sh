#!/bin/sh
# Makes a lab host out of the new namespaces it is started in: mounts its root file system, enters it, starts its init.
# usage: boot.sh DIRECTORY LOWER NAME DISK     DIRECTORY holds upper/ work/ root/ docker/ ...; DISK is MiB or "-"
set -eu
dir=$1 lower=$2 name=$3 disk=$4
R=$dir/root

mount -t overlay overlay -o "lowerdir=$lower,upperdir=$dir/upper,workdir=$dir/work" "$R"
mount -t proc proc "$R/proc"
mount -t sysfs sysfs "$R/sys"
mount -t tmpfs -o mode=755 run "$R/run"
mount -t tmpfs -o mode=1777 tmp "$R/tmp"

mount -t tmpfs -o mode=755 dev "$R/dev"
for device in null zero full random urandom tty fuse net/tun userfaultfd kmsg; do
  [ -e "/dev/$device" ] || continue
  mkdir -p "$(dirname "$R/dev/$device")"
  : >"$R/dev/$device"
  mount --bind "/dev/$device" "$R/dev/$device"
done
mkdir "$R/dev/pts" "$R/dev/shm" "$R/dev/mqueue"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$R/dev/pts"
mount -t tmpfs -o mode=1777 shm "$R/dev/shm"
mount -t mqueue mqueue "$R/dev/mqueue"
ln -s pts/ptmx "$R/dev/ptmx"
ln -s /proc/self/fd "$R/dev/fd"
for n in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${n%:*}" "$R/dev/${n#*:}"; done

# The machine's own cgroups: a lab's containers are beside the machine's, under their own ids.
if [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]; then
  mount --rbind /sys/fs/cgroup "$R/sys/fs/cgroup"
else
  mount -t tmpfs -o mode=755 cgroup "$R/sys/fs/cgroup"
  for controller in /sys/fs/cgroup/*; do
    here=$R/sys/fs/cgroup/${controller##*/}
    case $controller in
      */unified) ;; # empty, and would make Docker and CRIU take the machine for one of cgroup v2
      *) if [ -L "$controller" ]; then cp -P "$controller" "$here"; else mkdir "$here" && mount --bind "$controller" "$here"; fi ;;
    esac
  done
fi

# What engines keep is on the machine's disk, since overlayfs does not stack on overlayfs.
mkdir -p "$R/var/lib/docker"
if [ "$disk" = - ]; then
  mount --bind "$dir/docker" "$R/var/lib/docker"
else
  mount -t tmpfs -o "size=${disk}m,mode=710" docker "$R/var/lib/docker"
  # Kept outside all the same: after a crash these names tell which cgroups were the host's.
  mkdir "$R/var/lib/docker/containers"
  mount --bind "$dir/docker/containers" "$R/var/lib/docker/containers"
fi
for engine in containerd containers; do
  mkdir -p "$R/var/lib/$engine"
  mount --bind "$dir/$engine" "$R/var/lib/$engine"
done
if [ -d "$dir/drayage" ]; then
  mkdir -p "$R/var/lib/drayage"
  mount --bind "$dir/drayage" "$R/var/lib/drayage"
fi

hostname "$name"
# pivot_root and not chroot: CRIU refuses to work in a chroot.
cd "$R"
mkdir -p .old
pivot_root . .old
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 /bin/sh /usr/sbin/lab-init
