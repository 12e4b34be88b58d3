#!/bin/sh
# The init of a lab host: keeps its services alive as systemd would on a real one, and reaps what is orphaned.
cd /
umount -l /.old
rmdir /.old
mount --make-rshared / # as systemd has it

# Its being there tells `drayage setup` that something starts the agent, once the agent is enabled.
S=/run/drayage-supervisor
mkdir -p $S /run/sshd

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
keep dockerd /usr/sbin/dockerd &
keep_agent &
: >$S/ready
while :; do wait; done
