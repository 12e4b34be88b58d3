#!/bin/sh
# The init of a lab host: keeps its services alive as systemd would on a real one, and reaps what is orphaned.
cd /
umount -l /.old
rmdir /.old
mount --make-rshared / # as systemd has it

# Its being there tells `drayage setup` that something starts the agent, once the agent is enabled.
S=/run/drayage-supervisor
mkdir -p $S /run/sshd
: >$S/ready

# once NAME COMMAND...: runs it to its end. A shell starts background commands deaf to SIGINT and SIGQUIT, and a
# container would inherit that.
once() {
  name=$1
  shift
  setsid env --default-signal=INT,QUIT "$@" >>"/var/log/$name.log" 2>&1 &
  echo $! >"$S/$name.pid"
  wait $!
  echo "lab: $name ended with status $?" >>"/var/log/$name.log"
  rm -f "$S/$name.pid"
}

keep() {
  while :; do
    once "$@"
    sleep 1
  done
}

keep_agent() {
  while :; do
    if [ -e /etc/drayage/agent.enabled ]; then
      once drayage-agent drayage agent
      sleep 1
    fi
    sleep 0.3
  done
}

keep sshd /usr/sbin/sshd -D -e &
# Apart from Docker, as Debian runs it: it goes on when dockerd dies.
keep containerd /usr/bin/containerd &
while [ ! -S /run/containerd/containerd.sock ]; do sleep 0.02; done
keep dockerd /usr/sbin/dockerd --containerd=/run/containerd/containerd.sock &
keep_agent &
while :; do wait; done
