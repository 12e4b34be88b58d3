/** The corpus: sessions that are typed into real shells, with mistakes, history, completion and full-screen programs. */
import { BACKSPACE, ctrl, DOWN, ENTER, ESCAPE, LEFT, lines, RIGHT, type Session, type Step, TAB, UP } from './session.ts';

/** The shell ends, and the container with it. */
const EXIT: Step = { keys: `exit${ENTER}`, until: /exit|^/ };
const PASTE = ['\x1b[200~', '\x1b[201~'] as const;
const SLOW = /[#$%] (?:\x1b\[[\d;?]*[A-Za-z]|\x1b=)*$/;

function vim(file: string, text: string, program = 'vim'): Step[] {
  return [
    { keys: `${program} ${file}${ENTER}`, until: /~|\[New/ },
    { keys: `i${text}`, until: /^/ },
    { keys: ESCAPE },
    { keys: `:wq${ENTER}`, until: SLOW },
  ];
}

function nano(file: string, text: string): Step[] {
  return [
    { keys: `nano ${file}${ENTER}`, until: /\^X/ },
    { keys: text, until: /^/ },
    { keys: ctrl('O'), until: /Write/ },
    { keys: ENTER, until: /Wrote/ },
    { keys: ctrl('X'), until: SLOW },
  ];
}

export const SESSIONS: Readonly<Record<string, Session>> = {
  /** Where the idea came from. */
  'bash-origin': {
    command: ['bash'],
    steps: [...lines('apt-get update', 'apt-get install vim -y'), EXIT],
    commands: ['apt-get update', 'apt-get install vim -y', 'exit'],
  },

  'bash-project': {
    command: ['bash'],
    steps: [
      ...lines('ls', 'mkdir -p /srv/app/data', 'cd /srv/app'),
      ...vim('app.py', `import sys${ENTER}print("hello", sys.argv)${ENTER}`, 'vi'),
      ...lines('cat app.py', 'pyton3 app.py', 'python3 app.py one two'),
      // History, and an edit in the middle of the line.
      `${UP}${LEFT}${LEFT}${LEFT} ${BACKSPACE}${ENTER}`,
      `${UP}${UP}${DOWN} three > data/out.txt${ENTER}`,
      // Found again backwards.
      `${ctrl('R')}cat${ENTER}`,
      { keys: `less app.py${ENTER}`, until: /END|app\.py/ },
      { keys: 'q', until: SLOW },
      { keys: `top${ENTER}`, until: /load average/ },
      { keys: 'q', until: SLOW },
      { keys: `python3${ENTER}`, until: />>> / },
      { keys: `1 + 1${ENTER}`, until: />>> / },
      { keys: `exit()${ENTER}`, until: SLOW },
      // Tab completes the name of a directory and then of a file.
      `ls -l /srv/a${TAB}da${TAB}${ENTER}`,
      // Two tabs list what there is.
      `cat /etc/ho${TAB}${TAB}name${ENTER}`,
      ...lines('export GREETING="hello world" MODE=fast', 'echo "$GREETING" > greeting.txt'),
      { keys: `sleep 100${ENTER}`, until: /sleep 100\r\n/ },
      { keys: ctrl('C'), until: SLOW },
      { keys: `never run${ctrl('C')}`, until: SLOW },
      `wrong words${ctrl('U')}touch one two three${ctrl('W')}four${ENTER}`,
      ...lines('clear', 'cp app.py backup.py'),
      `${ctrl('L')}rm -f two${ENTER}`,
      ...lines('pwd', 'cd', 'echo done >> notes.txt', 'ls /nowhere', 'mkdir data && cd data && touch here'),
      EXIT,
    ],
    commands: [
      'ls', 'mkdir -p /srv/app/data', 'cd /srv/app', 'vi app.py', 'cat app.py', 'pyton3 app.py', 'python3 app.py one two',
      'python3 app.py one two', 'python3 app.py one two three > data/out.txt', 'cat app.py', 'less app.py', 'top', 'python3',
      'ls -l /srv/app/data/', 'cat /etc/hostname', 'export GREETING="hello world" MODE=fast',
      'echo "$GREETING" > greeting.txt', 'sleep 100', 'touch one two four', 'clear', 'cp app.py backup.py', 'rm -f two', 'pwd',
      'cd', 'echo done >> notes.txt', 'ls /nowhere', 'mkdir data && cd data && touch here', 'exit',
    ],
  },

  'bash-lines': {
    command: ['bash'],
    steps: [
      ...["cat > /etc/app.conf <<'EOF'", '# settings of $app', 'port = 8080', 'name = "it\'s"', 'EOF'].map(open),
      ...['for i in 1 2 3; do', 'touch /tmp/file$i', 'done'].map(open),
      ...['echo "first', 'second" > /tmp/two-lines'].map(open),
      ...['mkdir -p /opt/a \\', '/opt/b'].map(open),
      ...['if test -d /opt/a', 'then echo yes > /opt/a/yes', 'fi'].map(open),
      ...['cat <<EOF >> /etc/app.conf', 'home = $HOME', 'EOF'].map(open),
      ...lines("printf '%s\\n' a b | sort -r > /opt/sorted", 'f() { echo "f: $1" > /opt/f-$1; }', 'f one', 'ls /opt # what is there'),
      // Two lines at once, from a clipboard.
      { keys: `${PASTE[0]}touch /opt/pasted1\ntouch /opt/pasted2${PASTE[1]}`, pasted: true },
      ENTER,
      EXIT,
    ],
    commands: [
      "cat > /etc/app.conf <<'EOF'\n# settings of $app\nport = 8080\nname = \"it's\"\nEOF",
      'for i in 1 2 3; do\ntouch /tmp/file$i\ndone',
      'echo "first\nsecond" > /tmp/two-lines',
      'mkdir -p /opt/a \\\n/opt/b',
      'if test -d /opt/a\nthen echo yes > /opt/a/yes\nfi',
      'cat <<EOF >> /etc/app.conf\nhome = $HOME\nEOF',
      "printf '%s\\n' a b | sort -r > /opt/sorted",
      'f() { echo "f: $1" > /opt/f-$1; }',
      'f one',
      'ls /opt # what is there',
      'touch /opt/pasted1\ntouch /opt/pasted2',
      'exit',
    ],
  },

  'bash-narrow': {
    command: ['bash'],
    columns: 50,
    steps: [
      'echo a line that is much longer than the terminal is wide, so that it wraps twice or so > /root/long.txt\r',
      // Back to its begin, and an insertion there.
      `${UP}${ctrl('A')}${RIGHT.repeat(5)}very, ${ENTER}`,
      // A deletion across the place where it wraps.
      `${UP}${ctrl('A')}${RIGHT.repeat(52)}${BACKSPACE.repeat(12)}${ENTER}`,
      `${UP}${UP}${UP}${ctrl('E')}${BACKSPACE.repeat(8)}wide.txt${ENTER}`,
      ...lines('cat /root/long.txt /root/wide.txt'),
      EXIT,
    ],
    commands: [
      'echo a line that is much longer than the terminal is wide, so that it wraps twice or so > /root/long.txt',
      'echo very, a line that is much longer than the terminal is wide, so that it wraps twice or so > /root/long.txt',
      'echo very, a line that is much longer thnal is wide, so that it wraps twice or so > /root/long.txt',
      'echo a line that is much longer than the terminal is wide, so that it wraps twice or so > /root/wide.txt',
      'cat /root/long.txt /root/wide.txt',
      'exit',
    ],
  },

  'bash-users': {
    command: ['bash'],
    steps: [
      ...lines('useradd -m -s /bin/bash alice', 'mkdir /srv/shared', 'chown alice:alice /srv/shared', 'su - alice', 'whoami'),
      ...lines('mkdir -p ~/bin', 'cd /srv/shared', "printf '#!/bin/sh\\necho hi\\n' > ~/bin/hi", 'chmod +x ~/bin/hi', 'umask 027'),
      ...lines('echo mine > mine.txt', 'touch /etc/forbidden', 'exit', 'ls -l /srv/shared', 'su nobody2', 'echo root > /srv/root.txt'),
      EXIT,
    ],
    commands: [
      'useradd -m -s /bin/bash alice', 'mkdir /srv/shared', 'chown alice:alice /srv/shared', 'su - alice', 'whoami',
      'mkdir -p ~/bin', 'cd /srv/shared', "printf '#!/bin/sh\\necho hi\\n' > ~/bin/hi", 'chmod +x ~/bin/hi', 'umask 027',
      'echo mine > mine.txt', 'touch /etc/forbidden', 'exit', 'ls -l /srv/shared', 'su nobody2', 'echo root > /srv/root.txt', 'exit',
    ],
  },

  'bash-answers': {
    command: ['bash'],
    steps: [
      ...lines('apt update'),
      { keys: `apt install sudo${ENTER}`, until: /\[Y\/n\] / },
      { keys: `y${ENTER}`, until: SLOW },
      { keys: `apt-get install tree nosuchpackage${ENTER}`, until: SLOW },
      { keys: `apt-get install tree jq${ENTER}`, until: /\[Y\/n\] / },
      { keys: `Y${ENTER}`, until: SLOW },
      ...lines('touch /tmp/old /tmp/kept'),
      { keys: `rm -i /tmp/old${ENTER}`, until: /\? $/ },
      { keys: `y${ENTER}`, until: SLOW },
      ...lines("echo '[1,2]' | jq length > /root/length", 'sudo touch /root/by-sudo', 'jq --nosuch', 'false', 'echo $?'),
      { keys: `apt-get purge tree${ENTER}`, until: /\[Y\/n\] / },
      { keys: ENTER, until: SLOW },
      EXIT,
    ],
    commands: [
      'apt update', 'apt install sudo', 'apt-get install tree nosuchpackage', 'apt-get install tree jq', 'touch /tmp/old /tmp/kept',
      'rm -i /tmp/old', "echo '[1,2]' | jq length > /root/length", 'sudo touch /root/by-sudo', 'jq --nosuch', 'false', 'echo $?',
      'apt-get purge tree', 'exit',
    ],
  },

  'bash-secrets': {
    command: ['bash'],
    steps: [
      ...lines('export API_TOKEN=s3cr3t-v4lue-0123', 'mkdir /root/work', 'echo "password=hunter22" > /root/work/config'),
      ...lines('echo ghp_abcdefghijklmnopqrstuvwxyz0123456789', 'touch /root/work/ok', 'echo plain > /root/work/plain'),
      EXIT,
    ],
    commands: [
      'export API_TOKEN=s3cr3t-v4lue-0123', 'mkdir /root/work', 'echo "password=hunter22" > /root/work/config',
      'echo ghp_abcdefghijklmnopqrstuvwxyz0123456789', 'touch /root/work/ok', 'echo plain > /root/work/plain', 'exit',
    ],
  },

  'bash-colours': {
    command: ['bash'],
    steps: [
      ...lines(
        "PS1='\\[\\e]0;\\u@\\h: \\w\\a\\]\\[\\e[1;32m\\]\\u@\\h\\[\\e[0m\\]:\\[\\e[1;34m\\]\\w\\[\\e[0m\\]\\$ '",
        'ls --color=always /',
        'cd /opt',
      ),
      ...nano('notes.txt', `first${ENTER}second${ENTER}`),
      ...lines("printf 'no newline'", 'touch after-no-newline', 'sh', 'touch in-sh', 'exit', 'VERSION=1.2', 'echo "v$VERSION" > version.txt'),
      ...lines("alias ll='ls -l'", 'll', 'touch a.txt', '!!', 'ls -d {a,b}.txt', 'touch x{1,2}.txt'),
      EXIT,
    ],
    commands: [
      "PS1='\\[\\e]0;\\u@\\h: \\w\\a\\]\\[\\e[1;32m\\]\\u@\\h\\[\\e[0m\\]:\\[\\e[1;34m\\]\\w\\[\\e[0m\\]\\$ '",
      'ls --color=always /', 'cd /opt', 'nano notes.txt', "printf 'no newline'", 'touch after-no-newline', 'sh', 'touch in-sh', 'exit',
      'VERSION=1.2', 'echo "v$VERSION" > version.txt', "alias ll='ls -l'", 'll', 'touch a.txt', '!!', 'ls -d {a,b}.txt',
      'touch x{1,2}.txt', 'exit',
    ],
  },

  dash: {
    command: ['dash'],
    steps: [
      ...lines('mkdir /srv/web', 'cd /srv/web'),
      // The kernel's own editing: backspace, the last word, the whole line.
      `ecko${BACKSPACE}${BACKSPACE}ho "<h1>hi</h1>" > index.html${ENTER}`,
      `touch one wrong${ctrl('W')}two${ENTER}`,
      `all wrong${ctrl('U')}chmod 600 one${ENTER}`,
      ...["cat > comments.txt <<'EOF'", '# ls is only a comment', '$ cat is an example', '# rm -rf nothing', 'EOF'].map(open),
      ...lines('cat comments.txt', 'nosuchcommand', 'lls -l'),
      ...['echo "one', 'two" > lines.txt'].map(open),
      ...vim('page.html', `<p>page</p>${ENTER}`, 'vi'),
      { keys: `sleep 50${ENTER}`, until: /sleep 50\r\n/ },
      { keys: ctrl('C'), until: SLOW },
      ...lines('A=5', 'echo $A > a.txt', 'export B=six', 'echo $B > b.txt', 'ls -la'),
      { keys: `more comments.txt${ENTER}`, until: SLOW },
      EXIT,
    ],
    commands: [
      'mkdir /srv/web', 'cd /srv/web', 'echo "<h1>hi</h1>" > index.html', 'touch one two', 'chmod 600 one',
      "cat > comments.txt <<'EOF'\n# ls is only a comment\n$ cat is an example\n# rm -rf nothing\nEOF",
      'cat comments.txt', 'nosuchcommand', 'lls -l', 'echo "one\ntwo" > lines.txt', 'vi page.html', 'sleep 50', 'A=5',
      'echo $A > a.txt', 'export B=six', 'echo $B > b.txt', 'ls -la', 'more comments.txt', 'exit',
    ],
  },

  'busybox-ash': {
    image: 'counter',
    command: ['sh'],
    columns: 60,
    steps: [
      ...lines('cd /data', 'mkdir -p conf/sub'),
      `ls con${TAB}${ENTER}`,
      `echo one > conf/a${TAB}${ENTER}`,
      `${UP}${LEFT}${LEFT}${BACKSPACE}X${ENTER}`,
      'echo a line that is longer than the sixty columns of this terminal > /data/long.txt\r',
      `${UP}${LEFT.repeat(30)}${BACKSPACE.repeat(5)}${ENTER}`,
      ...vim('/data/edited.txt', `by vi${ENTER}`, 'vi'),
      { keys: `top${ENTER}`, until: /Load average/i },
      { keys: 'q', until: SLOW },
      ...["cat > /data/script.sh <<'EOF'", '#!/bin/sh', 'echo from a script', 'EOF'].map(open),
      ...lines('chmod 755 /data/script.sh', './script.sh > script.out', 'echo "bob:x:1000:1000::/data:/bin/sh" >> /etc/passwd', 'nosuch', 'ls --nosuch'),
      `cat /etc/pass${TAB}${ENTER}`,
      { keys: `never${ctrl('C')}`, until: SLOW },
      `rm /data/lo${TAB}${ENTER}`,
      ...lines('su bob', 'id', 'touch /tmp/bobs', 'exit', 'date > /dev/null'),
      EXIT,
    ],
    commands: [
      'cd /data', 'mkdir -p conf/sub', 'ls conf/', 'echo one > conf/a', 'echo one > conX/a',
      'echo a line that is longer than the sixty columns of this terminal > /data/long.txt',
      'echo a line that is longer than the sixty columnthis terminal > /data/long.txt', 'vi /data/edited.txt', 'top',
      "cat > /data/script.sh <<'EOF'\n#!/bin/sh\necho from a script\nEOF", 'chmod 755 /data/script.sh', './script.sh > script.out',
      'echo "bob:x:1000:1000::/data:/bin/sh" >> /etc/passwd', 'nosuch', 'ls --nosuch', 'cat /etc/passwd', 'rm /data/long.txt', 'su bob', 'id', 'touch /tmp/bobs', 'exit',
      'date > /dev/null', 'exit',
    ],
  },

  zsh: {
    command: ['zsh'],
    columns: 70,
    steps: [
      ...lines('cd /opt', 'mkdir -p project/src'),
      `cd pro${TAB}${ENTER}`,
      ...lines('touch src/a.c src/b.c', "print 'no newline' | tr -d '\\n'", 'ls src', 'nosuchprogram'),
      `${UP}${UP}${ENTER}`,
      'echo this is a line that does not fit into a terminal of seventy columns > long.txt\r',
      `${UP}${ctrl('A')}${RIGHT.repeat(5)}well, ${ENTER}`,
      ...['for f in a b; do', 'echo $f > src/$f.txt', 'done'].map(open),
      ...["cat > README <<'EOF'", '# Title', '% percent', 'EOF'].map(open),
      ...nano('main.c', `int main(void) { return 0; }${ENTER}`),
      { keys: `sleep 60${ENTER}`, until: /sleep 60/ },
      { keys: ctrl('C'), until: SLOW },
      { keys: `never run${ctrl('C')}`, until: SLOW },
      ...lines('export KIND=test', 'echo "kind $KIND" > kind.txt', 'cat /etc/hostname'),
      EXIT,
    ],
    commands: [
      'cd /opt', 'mkdir -p project/src', 'cd project', 'touch src/a.c src/b.c', "print 'no newline' | tr -d '\\n'", 'ls src',
      'nosuchprogram', 'ls src', 'echo this is a line that does not fit into a terminal of seventy columns > long.txt',
      'echo well, this is a line that does not fit into a terminal of seventy columns > long.txt',
      'for f in a b; do\necho $f > src/$f.txt\ndone', "cat > README <<'EOF'\n# Title\n% percent\nEOF", 'nano main.c', 'sleep 60',
      'export KIND=test', 'echo "kind $KIND" > kind.txt', 'cat /etc/hostname', 'exit',
    ],
  },
};

/** A line of a command that goes on: its prompt is another one. */
function open(line: string): Step {
  return { keys: line + ENTER, until: /(?:> |[#$%] )(?:\x1b\[[\d;?]*[A-Za-z]|\x1b=)*$/ };
}
