/** What is to become of a command that ran: most programs are run again, some only showed, and some would never end. */
import { argumentsOf, programOf, type SimpleCommand } from '../session/simple-commands.ts';

export type Judgement =
  | { kind: 'run' }
  /** It changed nothing. */
  | { kind: 'look' }
  | { kind: 'edit'; files: string[] }
  | { kind: 'blocks'; why: string };

const EDITORS =
  /^(?:vi|vim|vim\.\w+|nvim|view|rvim|ex|nano|rnano|pico|emacs|ed|joe|jed|mcedit|micro|ne|kak|helix|hx|visudo|vipw|vigr)$/;
const LOOKS = new Set(
  `ls ll la l dir vdir pwd whoami id groups who w users env printenv history which type whereis locate file stat du df free
  ps pstree pgrep uname uptime hostname hostnamectl date cal arch nproc lscpu lsblk lspci lsusb lsmod dmesg mount cat head
  tail wc sort uniq cut tr nl tac rev od xxd hexdump strings grep egrep fgrep zgrep zcat md5sum sha1sum sha256sum
  sha512sum cksum cmp diff comm find tree realpath readlink basename dirname echo printf seq expr true : test [ [[ jobs
  fg bg man info help apropos whatis tty locale lsof ss netstat ip ifconfig route ping dig nslookup host getent getconf
  ldd nm objdump clear reset ulimit hash times sleep wait dpkg-query apt-cache lsb_release print jq awk gawk mawk column
  fold tput last lastlog alias declare set command`.split(/\s+/),
);
const PAGERS = new Set(['less', 'more', 'most', 'pg', 'man', 'info']);
const MONITORS = new Set('top htop btop atop watch iotop iftop nethogs vmstat iostat glances nmon'.split(' '));
const REMOTE = new Set('ssh telnet ftp sftp mosh rlogin'.split(' '));
const WINDOWS = new Set('tmux screen byobu zellij mc ranger'.split(' '));
const REPLS: Readonly<Record<string, RegExp>> = {
  python: /^-i$/,
  python2: /^-i$/,
  python3: /^-i$/,
  ipython: /./,
  ipython3: /./,
  node: /^-i$/,
  irb: /./,
  ghci: /./,
  lua: /^-i$/,
  bc: /^-q$/,
  dc: /^$/,
  gdb: /./,
  psql: /./,
  mysql: /./,
  mariadb: /./,
  sqlite3: /./,
  'redis-cli': /^-[hpan]$/,
  mongo: /./,
  mongosh: /./,
  R: /./,
  julia: /^-i$/,
  php: /^-a$/,
  ftp: /./,
};
const SERVERS: readonly RegExp[] = [
  /^nginx\b.*daemon off/,
  /^(?:apache2ctl|apachectl|httpd)\b.*(?:FOREGROUND|-X)/,
  /^(?:redis-server|mongod|mysqld|mariadbd|postgres|memcached)\b(?!.*daemonize yes)/,
  /^python\d?(?:\.\d+)? .*(?:-m http\.server|manage\.py runserver|SimpleHTTPServer)/,
  /^(?:gunicorn|uvicorn|flask run|hypercorn|waitress-serve)\b(?!.*(?:-D\b|--daemon))/,
  /^(?:npm|yarn|pnpm) (?:start|run (?:dev|start|serve|watch))\b/,
  /^(?:nc|ncat|netcat) .*-\w*l/,
  /^tail .*-\w*[fF]\b/,
  /^journalctl .*-f/,
  /^(?:dockerd|containerd|sshd -D|cron -f|rsyslogd -n|socat .*LISTEN)/,
];

/** One simple command, or those of a pipeline. */
export function judge(wrapped: readonly SimpleCommand[], text: string): Judgement {
  const pipeline = wrapped.map(unwrapped);
  const names = pipeline.map((command) => programOf(command));
  const [first] = pipeline;
  const name = names[0] ?? '';
  if (first === undefined) return { kind: 'look' };
  const args = argumentsOf(first);
  if (EDITORS.test(name)) return { kind: 'edit', files: editedFiles(name, args) };
  if (pipeline.at(-1)?.joint === '&') return { kind: 'blocks', why: 'runs in the background, where a build ends it' };
  if (MONITORS.has(name)) return { kind: 'blocks', why: 'only shows something, until it is ended' };
  if (REMOTE.has(name)) return { kind: 'blocks', why: 'works on another host' };
  if (WINDOWS.has(name)) return { kind: 'blocks', why: 'needs a terminal' };
  if (isRepl(name, args, first)) return { kind: 'blocks', why: 'waits for what is typed' };
  if (SERVERS.some((form) => form.test(text))) return { kind: 'blocks', why: 'is a server, which never ends' };
  if (/^(?:systemctl|service|invoke-rc\.d|rc-service|initctl)$/.test(name) || /^\/etc\/init\.d\/\S+ /.test(text)) {
    return { kind: 'blocks', why: 'starts or stops a service, which does not outlive a build step' };
  }
  if (/^(?:kill|killall|pkill|disown|reboot|shutdown|halt|poweroff|suspend)$/.test(name)) {
    return { kind: 'blocks', why: 'is about processes, of which an image has none' };
  }
  if (name === 'passwd') return { kind: 'blocks', why: 'asks for a password' };
  if (
    /^(?:mount|umount|swapon|swapoff|losetup|sysctl|modprobe|insmod)$/.test(name) &&
    args.some((one) => !one.startsWith('-'))
  ) {
    return { kind: 'blocks', why: 'changes the running system, not the image' };
  }
  return pipeline.every((command, i) => looksOnly(command, names[i] ?? '')) ? { kind: 'look' } : { kind: 'run' };
}

/** The commands of a list, or inside of a compound command: the strongest word about any of them. */
export function judgeAll(simple: readonly SimpleCommand[], text: string): Judgement {
  const plain = simple.map((command) => ({
    ...command,
    words: command.words.filter(
      ({ raw }, i) => i > 0 || !/^(?:if|then|else|elif|fi|for|while|until|do|done|case|esac|\{|\}|!|time)$/.test(raw),
    ),
  }));
  const verdicts = plain.filter(({ words }) => words.length > 0).map((command) => judge([command], text));
  const blocking = verdicts.find(({ kind }) => kind === 'blocks');
  if (blocking !== undefined) return blocking;
  const files = verdicts.flatMap((verdict) => (verdict.kind === 'edit' ? verdict.files : []));
  if (verdicts.some(({ kind }) => kind === 'edit')) return { kind: 'edit', files };
  // `for i in …` has words that are no program.
  const isLoop = /^(?:for|case|select)\b/.test(text);
  return !isLoop && verdicts.every(({ kind }) => kind === 'look') ? { kind: 'look' } : { kind: 'run' };
}

/** Without what only runs it: `env A=b`, `time`, `nice`. */
function unwrapped(command: SimpleCommand): SimpleCommand {
  if (!/^(?:env|time|nice|nohup|command|builtin|exec|stdbuf)$/.test(programOf(command))) return command;
  const from = command.words.findIndex(({ raw }, i) => i > 0 && !/^-|^[A-Za-z_]\w*=/.test(raw));
  return from < 0 ? command : unwrapped({ ...command, words: command.words.slice(from) });
}

function isRepl(name: string, args: readonly string[], command: SimpleCommand): boolean {
  const versioned = /^python\d(?:\.\d+)?$/.test(name) ? 'python3' : name;
  const options = REPLS[versioned];
  if (options === undefined || command.here !== undefined) return false;
  if (command.redirects.some(({ operator }) => operator.includes('<'))) return false;
  if (args.some((one) => /^-(?:-version|V|-help|h)$/.test(one))) return false;
  if (/^(?:psql|mysql|mariadb)$/.test(name))
    return !args.some((one) => /^-(?:c|e|f|l|-command|-execute|-file)/.test(one));
  if (name === 'sqlite3') return args.filter((one) => !one.startsWith('-')).length < 2;
  return args.every((one) => options.test(one)) || (/^(?:python|node|php|lua)/.test(versioned) && args[0] === '-i');
}

/** It writes nothing but to the screen. */
function looksOnly(command: SimpleCommand, name: string): boolean {
  const writes = command.redirects.some(
    ({ operator, target }) => operator.includes('>') && !operator.endsWith('>&') && target?.value !== '/dev/null',
  );
  if (writes) return false;
  const args = argumentsOf(command);
  const option = (form: RegExp): boolean => args.some((one) => form.test(one));
  // `git status`, `apt list`, `pip freeze`: programs that also do something.
  if (option(/^--(?:version|help)$/)) return true;
  switch (name) {
    case 'find':
      return !option(/^-(?:exec|execdir|delete|ok|okdir|fprint|fls)/);
    case 'sed':
      return !option(/^(?:--in-place|-[nEersz]*i)/);
    case 'curl':
      return !option(/^(?:--output|--remote-name|-[A-Za-z]*[oOTdFX])/);
    case 'sort':
      return !option(/^(?:-o|--output)/);
    case 'date':
      return !option(/^(?:-s|--set)/);
    case 'hostname':
      return args.every((one) => one.startsWith('-'));
    case 'ip':
    case 'ifconfig':
    case 'route':
      return true;
    case 'git':
      return (
        /^(?:status|log|diff|show|branch|remote|blame|describe|rev-parse|ls-files|grep|help|version)$/.test(
          args[0] ?? '',
        ) && args.length <= 2
      );
    case 'apt':
    case 'apt-get':
      return /^(?:list|search|show|policy|depends|rdepends|moo|help)$/.test(
        args.find((one) => !one.startsWith('-')) ?? '',
      );
    case 'dpkg':
      return option(/^(?:-[lLsSpW]|--(?:list|listfiles|status|search|get-selections|print-architecture))$/);
    case 'rpm':
      return option(/^-q/);
    case 'apk':
      return /^(?:info|list|search|policy|version)$/.test(args[0] ?? '');
    case 'pip':
    case 'pip3':
      return /^(?:list|show|freeze|search|check|help)$/.test(args[0] ?? '');
    case 'npm':
    case 'yarn':
      return /^(?:ls|list|view|info|outdated|help|audit|whoami|why)$/.test(args[0] ?? '');
    case 'crontab':
      return args[0] === '-l';
    case 'tee':
    case 'xargs':
      return false;
    default:
      return LOOKS.has(name) || PAGERS.has(name);
  }
}

function editedFiles(name: string, args: readonly string[]): string[] {
  if (name === 'visudo') return ['/etc/sudoers'];
  if (name === 'vipw') return ['/etc/passwd'];
  const files: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? '';
    // Options of vi and vim that take a word of their own.
    if (/^(?:-c|--cmd|-S|-u|-U|-i|-T|-w|-W|-s|-t)$/.test(arg)) i += 1;
    else if (!/^[-+]/.test(arg)) files.push(arg);
  }
  return files;
}
