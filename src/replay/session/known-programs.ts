/** Programs and builtins that people type; where a prompt could be output as well, such a word speaks for a prompt. */
const NAMES = `
  . : [ alias bg break cd command continue eval exec exit export false fg hash history jobs kill let local logout popd
  printf pushd pwd read readonly return set shift source test time times trap true type ulimit umask unalias unset wait
  adduser addgroup apk apt apt-get apt-cache apt-key apt-mark ar ash awk base64 basename bash bc bunzip2 busybox bzip2
  cal cat chattr chgrp chmod chown chpasswd chroot chsh cksum clear cmake cmp column comm composer cp cpio crontab csplit
  curl cut date dash dc dd debconf-set-selections deluser df diff dig dirname dmesg dnf dnsdomainname docker dpkg
  dpkg-reconfigure du echo ed egrep emacs env ex expand expr factor fgrep file find flask fmt fold free ftp fuser g++
  gcc gem getent git go gpg grep groupadd groupdel groups gunzip gzip head hexdump host hostname htop iconv id ifconfig
  install ip irb java javac join journalctl killall last ldconfig ldd less ln locale locale-gen logger login ls lsb_release
  lsof lua make man md5sum mkdir mkfifo mknod mktemp more mount mv mysql nano nc netstat newgrp nginx nice nl node nohup
  npm npx nproc nslookup od openssl passwd paste patch perl pgrep php pidof pico ping pip pip3 pkill pnpm ps psql python
  python2 python3 readlink realpath redis-cli redis-server reset rev rm rmdir rpm rsync ruby run-parts screen scp sed seq
  service sftp sh sha1sum sha256sum sha512sum shred shuf sleep sort split sqlite3 ss ssh ssh-keygen stat strace strings
  stty su sudo sync systemctl tac tail tar tee telnet timeout tmux top touch tr traceroute tree truncate tsort tty uname
  unexpand uniq unlink unxz unzip update-alternatives update-ca-certificates uptime useradd userdel usermod usleep vi view
  vim vim.tiny visudo vmstat w watch wc wget which who whoami xargs xxd xz yarn yes yum zcat zip zsh zypper
  if for while until case function { ( ! [[
`;

const KNOWN = new Set(NAMES.split(/\s+/).filter(Boolean));

export function isKnownProgram(word: string): boolean {
  return KNOWN.has(word.replace(/^.*\//, '')) || /^[A-Za-z_]\w*=/.test(word);
}
