/** What speaks against moving a tree of processes; see tree.ts for when. */
import type { Entry } from './finding-table.ts';

export const TREE_FINDINGS = {
  FOREIGN_NAMESPACE: {
    severity: 'blocks',
    meaning: 'Processes of containers and sandboxes see another system than the host, which does not move with them.',
    remedy:
      'Move the container that they are in, or start the program without its sandbox. What came here with --pid-namespace or --private-root has to be ended here and started anew elsewhere.',
  },
  RESTARTED_BY_SYSTEMD: {
    severity: 'blocks',
    meaning:
      'What is moved is killed here at the end. systemd would start it anew on this host, with the data of before: it would run twice.',
    remedy: 'Give the service Restart=no until the host is started next, with systemctl edit --runtime.',
  },
  SUPERVISED: {
    severity: 'costs',
    meaning:
      'What is moved is killed here at the end. A program that looks after its children starts it anew on this host, with the data of before: it would run twice.',
    remedy: 'Tell that program beforehand not to start it again.',
  },
  OUTSIDE_PIPE: {
    severity: 'blocks',
    meaning: 'The other end stays behind: what it reads there ends, and what it writes there ends the program.',
    remedy:
      'Start it with its input and output from and to files, or on a terminal; or move the other process with it.',
  },
  INHERITED_PIPE: {
    severity: 'note',
    meaning: 'The other end stays behind. As a rule such descriptors are inherited by mistake, and nobody uses them.',
    remedy: 'Nothing is to be done, unless the program talks to that process.',
  },
  SEVERAL_TERMINALS: {
    severity: 'blocks',
    meaning: 'CRIU gives a tree of processes one terminal from outside, and no more.',
    remedy: 'Start the program on one terminal only; or move a terminal multiplexer with all that runs in it.',
  },
  NOT_BY_RESTART: {
    severity: 'blocks',
    meaning: 'No engine knows how it was started, so nothing could start it anew.',
    remedy: 'Leave --strategy restart out; or stop the program, and start it on the target yourself.',
  },
  FILES_DIFFER: {
    severity: 'blocks',
    meaning: 'It would go on with other libraries or data than it has now, or CRIU would refuse them.',
    remedy:
      'Let those of the source take their place with --replace-files, or be seen by the processes alone with --private-root; or remove them on the target.',
  },
  PRIVATE_ROOT: {
    severity: 'costs',
    meaning:
      'They see the tree of the target with their own files laid over it. What they write there is in memory, seen by nobody else and gone with them, and they cannot be moved on.',
    remedy: 'Leave --private-root out where what they write matters to others, or must last.',
  },
  FILES_REPLACED: {
    severity: 'costs',
    meaning: 'Other programs of the target that use these files find those of the source from now on.',
    remedy: 'Nothing is to be done if nothing else uses them there.',
  },
  FILES_CARRIED: {
    severity: 'note',
    meaning: 'They are put at the same paths, with their owners and times. What it opens only later is not known.',
    remedy: 'Nothing is to be done.',
  },
  PIDS_TAKEN: {
    severity: 'blocks',
    meaning: 'Processes keep their numbers, which others may know them by, and on the target these are in use.',
    remedy:
      'End those processes there; or give the moved ones a namespace for their numbers with --pid-namespace, which they cannot leave by another move.',
  },
  PID_NAMESPACE: {
    severity: 'costs',
    meaning:
      'They see no processes but themselves there, others know them by other numbers, and they cannot be moved on. When the last of them has ended the namespace is gone.',
    remedy: 'Leave --pid-namespace out where their numbers are free on the target.',
  },
  SCRIPT_MISSING: {
    severity: 'blocks',
    meaning: 'script(1) makes the terminal that the processes go on with there.',
    remedy: 'Install it on the target (package bsdutils, util-linux-script or util-linux).',
  },
  TERMINAL_MOVES: {
    severity: 'note',
    meaning: 'It goes on with a terminal of the target. While nobody is attached, what it writes is kept in part.',
    remedy: 'Connect to it with drayage attach, or right away with drayage migrate --attach.',
  },
  PORT_IN_USE: {
    severity: 'blocks',
    meaning: 'It listens there now, and could not on the target.',
    remedy: 'End what has the port on the target.',
  },
  LIMITS_LOST: {
    severity: 'costs',
    meaning: 'Its cgroup limits it here, and the kernel of the target has no such controller.',
    remedy: 'Turn the controller on there (cgroup_enable on the command line of the kernel), or do without the limit.',
  },
  LISTENERS_MOVE: {
    severity: 'costs',
    meaning: 'Its sockets are those of the host itself: clients that call the old host there are not forwarded.',
    remedy: 'Give clients the address of the target.',
  },
  LISTENERS_RELAYED: {
    severity: 'note',
    meaning:
      'The agent of the old host listens there instead and relays what comes to the target. The program sees the old host as the other end of such connections.',
    remedy: 'Nothing is to be done. Clients that use the address of the target save the detour.',
  },
} as const satisfies Record<string, Entry>;
