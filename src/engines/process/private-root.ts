/**
 * A root directory for one tree of processes: that of the host, with the files that came with the tree laid over it. It
 * is made in a mount namespace of their own, and goes with the last of them; nothing on the host changes.
 */
import { quote } from './quote.ts';

/** Directories whose fifos, sockets and devices are those of the host, also where nothing is mounted on them. */
const SHARED = ['/run', '/dev', '/proc', '/sys'];

/**
 * Script for a shell that is alone in its mount namespace; with `"$@"` it becomes what is to run in there. An overlay
 * takes no upper directory from below its lower one (fs/overlayfs/super.c, ovl_setup_trap), so the files are copied to a
 * tmpfs. What is mounted below the root is bound as it is; a file that came for a place there is bound over the one that
 * is there.
 * @param tree directory with the files, under their own paths
 * @param place mount point on the root file system itself, which must exist
 */
export function privateRootScript(tree: string, place: string): string {
  const [files, at] = [quote(tree), quote(place)];
  return `set -e
mount -t tmpfs -o mode=700 drayage ${at}
mkdir ${at}/upper ${at}/work ${at}/root
cp -a ${files}/. ${at}/upper/
mkdir ${at}/upper/.host
chmod 755 ${at}/upper
mount -t overlay -o lowerdir=/,upperdir=${at}/upper,workdir=${at}/work drayage ${at}/root
bound=
for point in ${SHARED.join(' ')} $(awk '$2 != "/" { print length($2), $2 }' /proc/self/mounts | sort -n | cut -d ' ' -f 2); do
  case $point in ${place}|${place}/*) continue ;; esac
  for above in $bound; do
    case $point in $above|$above/*) continue 2 ;; esac
  done
  if [ -d "$point" ] && [ -d "${place}/root$point" ]; then
    mount --rbind "$point" "${place}/root$point"
    bound="$bound $point"
  fi
done
(cd ${files} && find . -type f) | while read -r file; do
  file=\${file#.}
  for above in $bound; do
    case $file in $above/*) [ ! -e "${place}/root$file" ] || mount --bind "${place}/upper$file" "${place}/root$file" ;; esac
  done
done
cd ${at}/root
pivot_root . .host
cd /
umount -l /.host
rmdir /.host
exec "$@"
`;
}
