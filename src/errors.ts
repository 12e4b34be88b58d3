/**
 * The closed table of everything that can go wrong for a user. `docs/errors.md` and the exit statuses are made from
 * it; a test holds them equal. `meaning` and `remedy` may be made more precise where an error is raised.
 */
export const ERRORS = {
  USAGE: { exit: 2, meaning: 'The command line is not one that drayage understands.', remedy: 'See drayage --help.' },
  INTERNAL: {
    exit: 70,
    meaning: 'drayage itself failed: this is a bug. Nothing that was running was stopped by it.',
    remedy: 'Please report it with the output of drayage show ID.',
  },
  CANCELLED: {
    exit: 130,
    meaning: 'The operation was asked to stop. Before the commit point that is an undo.',
    remedy: 'Nothing is to be done; run the command again when you like.',
  },
  LAB_NEEDS_ROOT: {
    exit: 77,
    meaning: 'The lab makes namespaces, mounts and network interfaces, which only root may.',
    remedy: 'Run the command as root, for instance with sudo.',
  },
  LAB_NEEDS_PACKAGES: {
    exit: 69,
    meaning: 'The lab needs programs that are not installed, and they could not be installed by apt.',
    remedy: 'Install the named packages, then run the command again.',
  },
  LAB_NO_MIRROR: {
    exit: 78,
    meaning: 'Lab hosts and images are built from Debian packages, and no mirror is known to fetch them from.',
    remedy: 'Set DRAYAGE_DEBIAN_MIRROR to the address of a Debian mirror (http://.../debian).',
  },
  LAB_BUILD_FAILED: {
    exit: 69,
    meaning: "A lab's root file system or image could not be built. Nothing half-built is kept.",
    remedy: 'See the named log; most often the Debian mirror cannot be reached.',
  },
  LAB_EXISTS: {
    exit: 73,
    meaning: 'A lab of that name is up already.',
    remedy: 'Use it, take another --name, or take it down: drayage lab down --name NAME.',
  },
  LAB_BUSY: {
    exit: 75,
    meaning: 'The lab is being made or taken down by another process, or no network is free for one more.',
    remedy: 'Wait for the other process to end, then run the command again.',
  },
  LAB_NOT_FOUND: {
    exit: 66,
    meaning: 'There is no lab, lab host or lab image of that name.',
    remedy: 'See what there is: drayage lab ls.',
  },
  LAB_BOOT_FAILED: {
    exit: 70,
    meaning: 'A lab host did not come up. What was made of the lab has been removed again.',
    remedy: 'See the log lines above; a lab needs overlayfs, namespaces and nftables in the kernel.',
  },
  DOCKER_UNREACHABLE: {
    exit: 69,
    meaning: "Docker's daemon is not running or its socket cannot be reached. Containers go on as they are.",
    remedy: 'See that docker version answers on that host, then run the command again.',
  },
  DOCKER_TOO_OLD: {
    exit: 69,
    meaning: 'drayage needs Docker 24 or newer on both hosts.',
    remedy: 'Update Docker on that host.',
  },
  DOCKER_NOT_FOUND: {
    exit: 66,
    meaning: 'Docker knows no container, image, network or volume of that name.',
    remedy: 'See what there is, for instance with docker ps -a.',
  },
  DOCKER_REFUSED: {
    exit: 69,
    meaning: 'Docker refused what was asked of it, for the reason that it gives.',
    remedy: "Remove the reason, then run the command again; the daemon's own log tells more.",
  },
  WORKLOAD_UNKNOWN: {
    exit: 66,
    meaning: 'There is no container of that name or id on this host.',
    remedy: 'See what there is: drayage ps.',
  },
  WORKLOAD_AMBIGUOUS: {
    exit: 65,
    meaning: 'More than one container has an id that begins so, or more than one tree of processes is called so.',
    remedy: 'Give the name or more of the id; of processes the pid.',
  },
  TERMINAL_UNKNOWN: {
    exit: 66,
    meaning: 'No processes that were moved here are on a terminal of that name; they may have ended.',
    remedy: 'Name the host that they are on with --host, and the processes as process:pid.',
  },
  NO_TERMINAL: {
    exit: 65,
    meaning: 'The command connects one terminal to another, and its own input or output is none.',
    remedy: 'Run it on a terminal.',
  },
  FORWARD_UNKNOWN: {
    exit: 66,
    meaning: 'Nothing is forwarded under that id; it may have been removed, or come home with its workload.',
    remedy: 'See what is forwarded: drayage forwards ls.',
  },
  FORWARDS_CORRUPT: {
    exit: 65,
    meaning: 'What is kept of a forward cannot be read. What the kernel forwards now goes on until the host restarts.',
    remedy: 'Remove the named file, and move the workload again or point its clients at its new host.',
  },
  TRAFFIC_NOT_SWITCHED: {
    exit: 74,
    meaning: 'The workload runs on its new host and is well; not all that comes to its old address is sent there.',
    remedy: 'Finish it with drayage forwards repair, or point clients at the new host.',
  },
  JOURNAL_CORRUPT: {
    exit: 74,
    meaning:
      'The journal of a migration cannot be read: the file was changed or the disk is at fault. Other migrations are not concerned.',
    remedy: 'Restore the named file from a backup, or move it away once you know on which host the workload runs.',
  },
  JOURNAL_WRITE: {
    exit: 74,
    meaning: 'The journal cannot be written, and nothing is done that is not in the journal first.',
    remedy: 'Look at the disk that holds /var/lib/drayage: most often it is full or mounted read-only.',
  },
  CONFIRMATION_NEEDED: {
    exit: 2,
    meaning: 'The move costs something that you should agree to, and there is no terminal to ask on.',
    remedy: 'Read the findings; then run the command again with --yes.',
  },
  MIGRATION_BLOCKED: {
    exit: 3,
    meaning: 'The workload cannot be moved as things are. Nothing has been touched; it runs on.',
    remedy: 'Do what the findings say, then run the command again.',
  },
  HOST_UNFIT: {
    exit: 69,
    meaning: 'The host lacks something that drayage needs. Nothing has been changed there.',
    remedy: 'Do what the findings say, then run the command again.',
  },
  HOST_UNKNOWN: {
    exit: 66,
    meaning: 'No host of that name has been added.',
    remedy: 'See those that are: drayage host ls.',
  },
  HOST_IN_USE: {
    exit: 75,
    meaning: "Without drayage's runtime, containers that were moved there could not be started again.",
    remedy: 'Move or remove them first, or, if they are to be given up, add --force.',
  },
  HOST_TRANSFER: {
    exit: 74,
    meaning: 'The program did not arrive whole on the host. What was there before is still in place and works.',
    remedy: 'Run the command again; look at the disk and the connection if it fails again.',
  },
  HOST_LIST_CORRUPT: {
    exit: 65,
    meaning: 'The list of hosts that were added cannot be read. The hosts themselves work on.',
    remedy: 'Mend the file, or delete it and add the hosts again.',
  },
  SETUP_NO_PROGRAM: {
    exit: 66,
    meaning:
      'The files that make up drayage were not found beside the program that runs, so there is nothing to install.',
    remedy: 'In a checkout, run ./dev build first; else install the package again.',
  },
  SETUP_BUSY: {
    exit: 75,
    meaning: 'Migrations are under way there, and the agent that drives them must not be changed in the midst of one.',
    remedy:
      'Wait until they have ended (drayage history), or decide those in doubt (drayage resolve); then run the command again.',
  },
  SETUP_DAEMON_JSON: {
    exit: 65,
    meaning: "Docker's configuration file cannot be understood, so nothing was written to it.",
    remedy: 'Mend the file (Docker itself would not start with it either), then run the command again.',
  },
  SETUP_DOCKERD: {
    exit: 69,
    meaning: "Docker's daemon cannot be told to read its configuration again, so nothing was changed.",
    remedy: 'Start Docker, then run the command again.',
  },
  SETUP_RELOAD: {
    exit: 69,
    meaning:
      "Docker was told to read its configuration again, but does not know drayage's runtime. It runs on as before.",
    remedy: "See the daemon's log (journalctl -u docker) for what it did not like, then run the command again.",
  },
  SETUP_AGENT: {
    exit: 69,
    meaning: 'The program is installed, but its agent does not answer.',
    remedy: 'See its log (journalctl -u drayage-agent, or /var/log/drayage-agent.log), then run the command again.',
  },

  // A migration.
  FREEZE_FAILED: {
    exit: 4,
    meaning:
      'A process of the workload cannot be stopped just now, most often because it waits for a disk or a network file system.',
    remedy: 'The workload runs on untouched. Try again when it is idle.',
  },
  TREE_CHANGED: {
    exit: 4,
    meaning:
      'Only a whole tree of processes can be moved, and what came loose from it would be lost with the old host.',
    remedy:
      'The processes run on where they were. Try again when no process of them ends; or move the others by themselves.',
  },
  FILE_DIFFERS: {
    exit: 4,
    meaning: 'The workload uses a file of which the target has another one at the same path.',
    remedy: 'Let the file of the source take its place, with --replace-files; or remove it on the target.',
  },
  DUMP_FAILED: {
    exit: 4,
    meaning: 'CRIU cannot save the state of the workload. It runs on where it was.',
    remedy: 'See the line of CRIU in the message, and drayage show ID.',
  },
  RESTORE_FAILED: {
    exit: 4,
    meaning:
      'The target could not bring the workload back to life. It runs on where it was, and nothing is left on the target.',
    remedy: 'See the line of CRIU in the message, and drayage show ID.',
  },
  NOT_ACCEPTED: {
    exit: 4,
    meaning: 'CRIU moves connections that a process holds; these clients would be reset. The workload runs on.',
    remedy: 'See why the program does not accept them, or give --drop-connections if clients can reconnect.',
  },
  ADDRESS_NOT_KEPT: {
    exit: 4,
    meaning:
      "The container's open connections have an address that is taken on the target. The workload runs on where it was.",
    remedy:
      'Put the container on a user-defined network with a fixed address, or give --drop-connections if clients can reconnect.',
  },
  THAWED_MEANWHILE: {
    exit: 4,
    meaning: 'The images no longer match the workload, so the move was undone. It runs on where it was.',
    remedy: 'Do not unpause, stop or restart a workload while it is being moved; then run the command again.',
  },
  WORKLOAD_ENDED: {
    exit: 4,
    meaning:
      'The move was undone, and the workload runs no more on the source either: it ended by itself, was ended, or CRIU was killed while its code was in it.',
    remedy:
      'Start it again, unless its engine has done so. Where something killed CRIU, see what: the kernel log tells whether memory ran out.',
  },
  STATE_CHANGED: {
    exit: 4,
    meaning: 'What was carried no longer matches the workload, so the move was undone. It is as it was found.',
    remedy: 'See what starts or stops it (a service manager, another program); then run the command again.',
  },
  NOT_HEALTHY: {
    exit: 4,
    meaning: 'The copy was removed from the target, and the workload was started again where it was.',
    remedy:
      'See why it does not come up there: what it needs may be missing on the target; then run the command again.',
  },
  COMMIT_REFUSED: {
    exit: 4,
    meaning: 'The copy never ran, and the workload runs on where it was.',
    remedy: 'See the reason in the message, then run the command again.',
  },
  TARGET_LOST: {
    exit: 4,
    meaning: 'The workload runs on where it was. The target undoes by itself what it had begun.',
    remedy: 'See to the network and to the target, then run the command again.',
  },
  TARGET_STORAGE: {
    exit: 4,
    meaning: "drayage needs the overlay2 storage driver to carry a container's files.",
    remedy: 'Use the overlay2 storage driver on the target (docker info shows which one is in use).',
  },
  AGENT_RESTARTED: {
    exit: 4,
    meaning: 'The migration was undone; the workload runs on where it was.',
    remedy: 'Run the command again.',
  },
  OUTCOME_UNKNOWN: {
    exit: 5,
    meaning: 'Both copies are kept stopped, because running both would be worse than running none.',
    remedy: 'Look at both hosts, then decide: drayage resolve ID --keep source, or --keep target.',
  },
  NOT_IN_DOUBT: {
    exit: 6,
    meaning: 'There is nothing to decide: the migration came to its end by itself.',
    remedy: 'See what became of it: drayage show ID.',
  },
  ALREADY_COMMITTED: {
    exit: 6,
    meaning: 'The workload runs on the target; its source was retired.',
    remedy: 'Move it back with drayage migrate on the target.',
  },
  MIGRATION_UNKNOWN: {
    exit: 66,
    meaning: 'This host has no journal of such a migration.',
    remedy: 'See what there is: drayage history.',
  },
  WORKLOAD_BUSY: {
    exit: 75,
    meaning: 'Only one migration of a workload can be under way.',
    remedy: 'Wait for it (drayage watch ID), or press Ctrl-C there to undo it.',
  },
  SAME_HOST: { exit: 2, meaning: 'A workload is moved between two hosts.', remedy: 'Name another host with --to.' },
  MEMORY_STAGING: {
    exit: 4,
    meaning: 'The staging area for the memory images is full. The workload runs on where it was.',
    remedy: 'Free memory on the target, then run the command again.',
  },
  CHANNEL_LOST: {
    exit: 4,
    meaning: 'The workload runs on where it was. The target undoes by itself what it had begun.',
    remedy: 'See to the network between the hosts, then run the command again.',
  },
  PROTOCOL: {
    exit: 70,
    meaning: 'What came does not belong to the protocol of the agents; the workload runs on where it was.',
    remedy: 'Bring both hosts to the same version with drayage host add.',
  },
  AGENT_ABSENT: {
    exit: 69,
    meaning: 'No drayage agent runs on this host. Workloads are not concerned.',
    remedy: 'Run drayage setup on it, as root.',
  },
  AGENT_DENIED: {
    exit: 77,
    meaning: 'The agent acts as root, so only root may talk to it.',
    remedy: 'Run the command as root, or use a destination of the form root@HOST.',
  },
  AGENT_RUNNING: {
    exit: 75,
    meaning: 'Another agent answers on that socket, and there must be only one on a host.',
    remedy: 'Nothing is to be done, or stop that agent first.',
  },
  AGENT_VERSION: {
    exit: 76,
    meaning: 'The two agents are of different versions and would not understand each other. Nothing has been touched.',
    remedy: 'Bring the other host to this version: drayage host add DESTINATION.',
  },
  AGENT_PROTOCOL: {
    exit: 76,
    meaning: 'What came over the connection is not what a drayage agent says, or not what it says at that point.',
    remedy:
      'See that shell startup files on that host print nothing and that both hosts have the same version of drayage.',
  },
  AGENT_LOST: {
    exit: 69,
    meaning:
      'The connection to the agent broke: the agent was stopped, its host went down, or the network between was cut.',
    remedy: 'See that the host can be reached; drayage show ID tells what became of the migration.',
  },
  AGENT_TIMEOUT: {
    exit: 69,
    meaning: 'The agent did not answer in time.',
    remedy: 'Look at the load of that host; then run the command again.',
  },
  AGENT_MISSING: {
    exit: 69,
    meaning: 'The host can be reached, but the drayage program is not installed there.',
    remedy: 'Put it there: drayage host add DESTINATION.',
  },
  HOST_NO_AGENT: {
    exit: 69,
    meaning: 'drayage is installed on the host, but its agent does not run.',
    remedy: 'Start it again: drayage host add DESTINATION.',
  },
  HOST_UNREACHABLE: {
    exit: 69,
    meaning: 'ssh cannot reach the host. Nothing has been touched.',
    remedy: 'See that ssh DESTINATION works for root on this host: address, port, firewall, sshd.',
  },
  HOST_KEY_CHANGED: {
    exit: 77,
    meaning: 'The host shows another key than the known one: it was reinstalled, or someone else answers in its place.',
    remedy: 'Make sure which it is; if it was reinstalled, ssh-keygen -R HOST and connect once by hand.',
  },
  HOST_KEY_UNKNOWN: {
    exit: 77,
    meaning: "This host's root has never connected there, so nothing tells whether the right host answers.",
    remedy: 'Connect once by hand as root and compare the key: ssh DESTINATION true.',
  },
  HOST_AUTH: {
    exit: 77,
    meaning: 'The host refuses the keys that root has on this host; passwords are never asked for.',
    remedy: 'Put a public key of this root there: ssh-copy-id DESTINATION.',
  },
  CHANNEL_FAILED: {
    exit: 69,
    meaning: 'No connection for bulk data could be made to the other host, neither directly nor through ssh.',
    remedy: 'See that ssh DESTINATION drayage dial works, or open the way from that host back to this one.',
  },
  CHANNEL_CUT: {
    exit: 69,
    meaning: 'A connection for bulk data broke before all of it had come. What had come is thrown away.',
    remedy: 'See that the hosts can reach each other, then run the command again.',
  },
  IMAGE_NOT_RECEIVED: {
    exit: 69,
    meaning:
      "The image of the workload did not arrive whole on the target, or the target's Docker stores images otherwise.",
    remedy: 'Run the command again; see that both hosts use the same image store (docker info, driver-type).',
  },
  FILES_TRANSFER: {
    exit: 74,
    meaning: 'Files of the workload did not arrive whole on the target. Those on the source are as they were.',
    remedy: 'See the reason that rsync gives; then run the command again.',
  },
  FILES_NO_SPACE: {
    exit: 74,
    meaning: "The target's disk, or the quota on it, cannot hold the workload's files.",
    remedy: 'Free room on the target, then run the command again.',
  },
  FILES_UNSAFE_PATH: {
    exit: 65,
    meaning:
      'The source named a path that leads out of the tree of files that it may change. Nothing was changed by it.',
    remedy: 'Look after the source host: drayage itself never names such a path.',
  },
  FILES_UNREADABLE: {
    exit: 74,
    meaning: 'A tree of files of the workload cannot be read on the source, or its file system is at fault.',
    remedy: 'Look at the named path and at the log of the kernel on the source.',
  },
  FILES_LOG_STREAM: {
    exit: 74,
    meaning: "The log of the workload did not arrive whole on the target. The source's log is as it was.",
    remedy: 'Run the command again; look at the connection if it fails again.',
  },
  ARCHIVE_FOREIGN: {
    exit: 65,
    meaning: 'The file is something else, or was written by a newer drayage. Nothing was created.',
    remedy: 'Name a file that drayage export or drayage snapshot wrote.',
  },
  ARCHIVE_DAMAGED: {
    exit: 65,
    meaning:
      'What is in it cannot be trusted any more, so nothing of it runs; what had been made of it was taken back.',
    remedy: 'Carry the file over once more. The workload is where it was exported, stopped, until it is imported.',
  },
  ARCHIVE_LOCKED: {
    exit: 77,
    meaning: 'The archive is encrypted, and what was given does not open it. Nothing was created.',
    remedy: 'Give what it was encrypted to: --passphrase-file FILE or --identity FILE.',
  },
  ARCHIVE_EXISTS: {
    exit: 73,
    meaning: 'An archive may hold the only copy of a workload: no file is ever written over.',
    remedy: 'Name another file, or remove that one.',
  },
  ARCHIVE_WRITE: {
    exit: 74,
    meaning: 'The archive could not be written whole, so there is none. The workload runs on where it was.',
    remedy: 'See that there is room and that the directory may be written to, then run the command again.',
  },
  ARCHIVE_READ: {
    exit: 74,
    meaning: 'The archive cannot be read. Nothing was created.',
    remedy: 'See that the file is there and that its disk is well.',
  },
  ARCHIVE_IMPORTED: {
    exit: 65,
    meaning: 'It runs here, or has run here: imported again, what it did since would be done twice.',
    remedy: 'Use the container that is there. For a second copy of a workload, take a snapshot of it.',
  },
  ARCHIVE_NO_ROOM: {
    exit: 75,
    meaning: 'The import has stopped in the middle. Nothing of the workload runs, and what is in place is kept.',
    remedy: 'Free room, then run the same command again: it goes on where it stopped. --undo takes everything back.',
  },
  MEASURE_NO_ANSWER: {
    exit: 69,
    meaning: 'What is to be measured does not answer, so there is nothing to measure. Nothing was moved.',
    remedy: 'Name an address that answers from this host: try it with curl.',
  },
  MEASURE_NO_ECHO: {
    exit: 69,
    meaning:
      'The lost and repeated messages of a connection can be counted only where every line is answered by itself.',
    remedy: 'Name a server that sends each line back (socat TCP-LISTEN:7,fork EXEC:cat), or leave --tcp out.',
  },
  MEASURE_REPORT: {
    exit: 74,
    meaning: 'The report could not be written; what was measured is shown here all the same.',
    remedy: 'Name a file in a directory that exists and may be written to: -o FILE.',
  },

  // A replay of a terminal's log.
  REPLAY_NO_LOG: {
    exit: 66,
    meaning: 'The log of the terminal cannot be read, so what was typed cannot be found out.',
    remedy: 'Name the file that docker inspect tells as LogPath, and run the command as root.',
  },
  REPLAY_NOT_A_LOG: {
    exit: 65,
    meaning: 'A log of the json-file driver has one JSON object a line; this file has none.',
    remedy:
      'Name the file that docker inspect tells as LogPath; a container with another log driver has to be started anew with --log-driver json-file, and its session repeated.',
  },
  REPLAY_LOG_DRIVER: {
    exit: 65,
    meaning: 'Only the json-file driver keeps what stood on the terminal as it came.',
    remedy: 'Start the container with --log-driver json-file -it, and work in it with docker attach.',
  },
  REPLAY_EMPTY_LOG: {
    exit: 65,
    meaning:
      'Nothing was written to the terminal: either nobody worked in it, or only by docker exec, which leaves no log.',
    remedy: 'Work in the container with docker attach, or move its files with drayage migrate.',
  },
  REPLAY_NO_PROMPT: {
    exit: 65,
    meaning: 'Commands are found by the prompt of the shell, and none of the known kinds is there.',
    remedy:
      "Give the prompt as a regular expression: --prompt 'REGEX'. If the container runs no shell, there is nothing to replay.",
  },
  REPLAY_NO_TERMINAL: {
    exit: 65,
    meaning: 'Without a terminal there is no prompt and no echo of what was typed, so its log has no commands.',
    remedy: 'Move the container itself with drayage migrate; a container for docker attach is started with -it.',
  },
  REPLAY_PROMPT_REGEX: {
    exit: 2,
    meaning: 'The prompt is given as a regular expression of JavaScript, matched at the begin of lines.',
    remedy: "For instance --prompt '[^$]*[$] ' for all up to a dollar sign and a blank.",
  },
  REPLAY_OUTPUT: {
    exit: 73,
    meaning: 'The Dockerfile could not be written.',
    remedy: 'Name a directory that may be made or is empty: -o DIRECTORY.',
  },
  REPLAY_CHANGED: {
    exit: 75,
    meaning: 'What would be built is not what you have agreed to, so nothing was.',
    remedy: 'Run the command again to see the Dockerfile as it is now.',
  },
  REPLAY_BUILD_FAILED: {
    exit: 4,
    meaning:
      'A step of the Dockerfile failed on the target. Nothing is left there, and the container runs on as it was.',
    remedy:
      'Take the Dockerfile with -o DIRECTORY, mend the step that failed and build it yourself; or see what is missing there: network, packages.',
  },
  REPLAY_NOT_ALIKE: {
    exit: 4,
    meaning: 'The image that was built differs from the container by more than was allowed, so it was removed again.',
    remedy: 'See the differences by name; --capture-rest carries exactly those files over.',
  },
} as const satisfies Record<string, ErrorEntry>;

interface ErrorEntry {
  /** Exit status of the command line program. */
  exit: number;
  /** What it means for the user's workload. */
  meaning: string;
  /** What to do about it. */
  remedy: string;
}

export type ErrorCode = keyof typeof ERRORS;

export interface ErrorDetail {
  meaning?: string;
  remedy?: string;
  cause?: unknown;
}

/** The one error class: what happened (`message`), what it means, what to do, and a code from the closed table. */
export class DrayageError extends Error {
  readonly code: ErrorCode;
  readonly meaning: string;
  readonly remedy: string;

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = 'DrayageError';
    this.code = code;
    this.meaning = detail.meaning ?? ERRORS[code].meaning;
    this.remedy = detail.remedy ?? ERRORS[code].remedy;
  }

  /** Anything thrown, as a DrayageError; total, so the top level needs no second case. */
  static from(thrown: unknown): DrayageError {
    if (thrown instanceof DrayageError) return thrown;
    if (thrown instanceof Error && thrown.name === 'AbortError') {
      return new DrayageError('CANCELLED', 'Cancelled.', { cause: thrown });
    }
    return new DrayageError('INTERNAL', thrown instanceof Error ? thrown.message : String(thrown), { cause: thrown });
  }

  /** As it travels between agents and into JSON output. */
  toJSON(): SerializedError {
    return { code: this.code, message: this.message, meaning: this.meaning, remedy: this.remedy };
  }
}

export interface SerializedError {
  code: string;
  message: string;
  meaning: string;
  remedy: string;
}
