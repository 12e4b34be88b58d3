import { describe, expect, test } from 'vitest';
import { readPrompt } from '../session/prompt.ts';
import { simpleCommands } from '../session/simple-commands.ts';
import { Output, type Shell, type TypedCommand } from '../session/typed-command.ts';
import { failureOf } from './failed.ts';
import { judge } from './judge.ts';
import { nonInteractive } from './noninteractive.ts';
import { secretsIn, withoutSecrets } from './secrets.ts';
import { ownersOf } from './shell-state.ts';
import { stepsOf } from './steps.ts';
import { type Captured, writeDockerfile } from './write.ts';

const PROMPT = readPrompt('root@dev:/# ')?.prompt ?? never();

function typed(text: string, said: string[] = [], more: Partial<TypedCommand> = {}): TypedCommand {
  const output = new Output();
  for (const line of said) output.add(line);
  const seen = { fullScreen: false, dialogue: false, stopped: false, written: [] };
  // Of a shell whose prompt tells neither directory nor user.
  const { directory: _, user: __, ...prompt } = PROMPT;
  return { text, output, prompt, shell: 'bash' as Shell, ...seen, ...more };
}

function dockerfile(commands: (string | TypedCommand)[], captured = new Map<string, Captured>()): string {
  const base = { directory: '/', user: 'root' };
  const all = commands.map((command) => (typeof command === 'string' ? typed(command) : command));
  const { steps } = stepsOf(all, { base, keepFailed: false });
  return writeDockerfile(steps, { from: 'debian:13', about: [], base, captured }).dockerfile.replace(
    'FROM debian:13\n',
    '',
  );
}

describe('what failed', () => {
  test.each([
    ['foo', ['bash: foo: command not found']],
    ['foo', ['sh: 3: foo: not found']],
    ['foo', ['zsh: command not found: foo']],
    ['rm x', ["rm: cannot remove 'x': No such file or directory"]],
    ['apt-get install x', ['Reading package lists... Done', 'E: Unable to locate package x']],
    ['git clone x', ['fatal: repository x does not exist']],
    ['tar', ['Usage: tar [OPTION...]']],
    ['cp a', ["cp: missing destination file operand after 'a'", "Try 'cp --help' for more information."]],
    ['python3 x.py', ['Traceback (most recent call last):', 'ValueError']],
    ['apt install x', ['Do you want to continue? [Y/n] n', 'Abort.']],
  ])('%s: %j', (text, said) => expect(failureOf(typed(text, said))).toBeDefined());

  test.each([
    ['ls', ['error.log  not found.txt']],
    ['apt-get update', ['Get:1 file: ./ Packages', 'Reading package lists... Done']],
    ['make', ['warning: unused variable', 'cc -o x x.c']],
    ['grep -r "No such file" .', ['./a: No such file or directory']],
    ['tar --help', ['Usage: tar [OPTION...]']],
  ])('%s went well', (text, said) => expect(failureOf(typed(text, said))).toBeUndefined());

  test('the exit status, where it was asked for', () => {
    expect(failureOf(typed('x'), typed('echo $?', ['3']))).toBe('exit status 3');
    expect(failureOf(typed('x', ['x: cannot do it']), typed('echo $?', ['0']))).toBeUndefined();
  });
});

describe('what becomes of a command', () => {
  test.each([
    ['ls -la', 'look'],
    ['cat a | grep b | wc -l', 'look'],
    ['cat a > b', 'run'],
    ['find . -name x', 'look'],
    ['find . -delete', 'run'],
    ['sed -n 1p a', 'look'],
    ['sed -i s/a/b/ a', 'run'],
    ['env A=1 make', 'run'],
    ['vim +10 a.txt', 'edit'],
    ['top', 'blocks'],
    ['ssh host', 'blocks'],
    ['python3', 'blocks'],
    ['python3 x.py', 'run'],
    ['psql -c "select 1"', 'run'],
    ['nginx -g "daemon off;"', 'blocks'],
    ['sleep 1000 &', 'blocks'],
    ['service nginx start', 'blocks'],
    ['apt list', 'look'],
    ['apt-get install x', 'run'],
    ['dpkg -i x.deb', 'run'],
    ['tail -f /var/log/x', 'blocks'],
    ['echo x > /dev/null 2>&1', 'look'],
  ])('%s: %s', (text, kind) => expect(judge(simpleCommands(text), text).kind).toBe(kind));

  test.each([
    ['apt install vim', 'apt-get install -y vim'],
    ['apt-get -q install vim -y', 'apt-get -q install vim -y'],
    ['apt-get install --no-install-recommends vim', 'apt-get install -y --no-install-recommends vim'],
    ['dnf install vim', 'dnf install -y vim'],
    ['apk add vim', 'apk add --no-cache vim'],
    ['pip install x', 'pip install --no-cache-dir x'],
    ['pacman -S vim', 'pacman -S --noconfirm vim'],
  ])('%s asks nothing as %s', (text, form) => expect(nonInteractive(text, new Output(), false)).toBe(form));

  test('an answer that was typed is given again', () => {
    const { output } = typed('', ['Continue? [y/N] y', 'Sure? (yes/no) yes']);
    expect(nonInteractive('./setup', output, false)).toBe("printf 'y\\nyes\\n' | ./setup");
  });
});

describe('secrets', () => {
  test.each([
    ['curl -H "Authorization: Bearer abcdef123456"', 'abcdef123456'],
    ['git clone https://me:t0psecret@host/x', 't0psecret'],
    ['export AWS_KEY=AKIAABCDEFGHIJKLMNOP', 'AKIAABCDEFGHIJKLMNOP'],
    ['mysql -u root -phunter22', 'hunter22'],
    ['echo "root:hunter22" | chpasswd', 'hunter22'],
    ['export DB_PASSWORD=hunter22', 'hunter22'],
    ['tool --token abcdefgh', 'abcdefgh'],
  ])('%s', (text, secret) => {
    expect(secretsIn(text)).toContain(secret);
    expect(withoutSecrets(text)).not.toContain(secret);
  });

  test('what was told once is a secret wherever it stands', () => {
    const { steps, fates } = stepsOf(
      [typed('echo hunter22 > a'), typed('cat a', ['password: hunter22']), typed('touch b')],
      { base: { directory: '/', user: 'root' }, keepFailed: false },
    );
    expect(fates).toEqual(['secret', 'look', 'run']);
    expect(JSON.stringify(steps)).not.toContain('hunter22');
  });

  test('of a key all of it is one', () => {
    const key = '-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----';
    expect(withoutSecrets(`cat > k <<EOF\n${key}\nEOF`)).toBe('cat > k <<EOF\n***\nEOF');
  });

  test.each(['passwd alice', 'cat token.txt', 'export PASSWORD_FILE=/run/x', 'ls secrets', 'npm config set token'])(
    '%s has none',
    (text) => expect(secretsIn(text)).toEqual([]),
  );
});

describe('a Dockerfile', () => {
  test('cd, export, su: state goes on from line to line', () => {
    expect(
      dockerfile([
        'cd /srv',
        'mkdir app',
        'cd app',
        'export A=1 B="$A/x"',
        'X=2',
        'echo $X > x',
        'su alice',
        'touch y',
        'exit',
        'touch z',
      ]),
    ).toBe(
      [
        ...[
          'WORKDIR /srv',
          'RUN mkdir app',
          'ENV A="1"',
          'ENV B="$A/x"',
          'WORKDIR /srv/app',
          'RUN X=2 \\',
          '    && echo $X > x',
        ],
        ...['USER alice', 'RUN touch y', '# hadolint ignore=DL3002', 'USER root', 'RUN touch z', ''],
      ].join('\n'),
    );
  });

  test('packages are a layer of their own, which fetches its lists and leaves none', () => {
    expect(
      dockerfile(['apt-get update', 'apt install -y vim', 'apt-get install curl', 'touch x', 'apt-get install jq']),
    ).toBe(
      [
        ...['ARG DEBIAN_FRONTEND=noninteractive', '# hadolint ignore=DL3008,DL3015', 'RUN apt-get update \\'],
        ...[
          '    && apt-get install -y vim curl \\',
          '    && rm -rf /var/lib/apt/lists/*',
          '# hadolint ignore=DL3059',
          'RUN touch x',
        ],
        ...['# hadolint ignore=DL3008,DL3015,DL3059', 'RUN apt-get update \\', '    && apt-get install -y jq \\'],
        ...['    && rm -rf /var/lib/apt/lists/*', ''],
      ].join('\n'),
    );
  });

  test('an edited file is copied where it was edited, once', () => {
    const file = { content: Buffer.from('x'), mode: 0o600, uid: 5, gid: 5 };
    const text = dockerfile(
      ['vim /etc/a', 'touch b', 'vim /etc/a', 'sed -i s/x/y/ /etc/a', 'nano /etc/a'],
      new Map([['/etc/a', file]]),
    );
    expect(text.match(/COPY --chown=5:5 files\/etc\/a \/etc\/a/g)).toHaveLength(2);
    expect(dockerfile(['vim /etc/a'])).toContain('what it wrote to /etc/a is not in a log');
  });

  test('a file with a secret is left out', () => {
    const file = { content: Buffer.from('password = hunter22\n'), mode: 0o600, uid: 0, gid: 0 };
    expect(dockerfile(['vim /etc/a'], new Map([['/etc/a', file]]))).toBe('# left out, for a secret in it: /etc/a\n');
  });

  test('history is written out, an alias is what it stands for, source goes before every command', () => {
    expect(
      dockerfile([
        'alias mk="mkdir -p"',
        'mk /a/b',
        typed('!!', ['mkdir -p /a/b']),
        '. /venv/bin/activate',
        'pip list',
        'make',
      ]),
    ).toBe('RUN mkdir -p /a/b \\\n    && mkdir -p /a/b \\\n    && . /venv/bin/activate \\\n    && make\n');
  });

  test('sudo is not needed, and a list with || keeps together', () => {
    expect(dockerfile(['sudo touch /x', 'test -e /y || touch /y', 'touch /z'])).toBe(
      'RUN touch /x \\\n    && { test -e /y || touch /y; } \\\n    && touch /z\n',
    );
  });

  test('a condition is asked again, and the build goes on where it does not hold', () => {
    expect(
      dockerfile(['test -e /y && touch /z', 'grep -q x /f && apt install vim', '[ -d /a ] && cd /a', 'id && ls']),
    ).toBe(
      '# hadolint ignore=DL3008,DL3015\nRUN if test -e /y; then touch /z; fi \\\n    && if grep -q x /f; then apt-get install -y vim; fi\nWORKDIR /a\n',
    );
  });

  test('what is typed on another host is no part of it', () => {
    const there = { prompt: readPrompt('bob@other:~$ ')?.prompt ?? never() };
    const text = dockerfile([
      typed('ssh bob@other', [], { prompt: PROMPT }),
      typed('touch there', [], there),
      typed('exit', [], there),
      typed('touch here', [], { prompt: PROMPT }),
    ]);
    expect(text).toContain('# not run: touch there (typed on another host)');
    expect(text).toContain('RUN touch here\n');
    expect(text).not.toContain('USER');
  });

  test('a file that a user has written is owned as in the container', () => {
    const base = { directory: '/', user: 'nobody' };
    const { steps } = stepsOf([typed("cat > /tmp/x <<'EOF'\ny\nEOF")], { base, keepFailed: false });
    const options = { from: 'x:1', about: [], base, captured: undefined };
    expect(writeDockerfile(steps, options).dockerfile).toContain('COPY --chown=nobody:nobody ');
    const owners = ownersOf('nobody:x:65534:65533:nobody:/:/bin/sh\n');
    expect(writeDockerfile(steps, { ...options, owners }).dockerfile).toContain('COPY --chown=65534:65533 ');
  });

  test('a container that was started as user and group stays so', () => {
    const alice = readPrompt('alice@dev:~$ ')?.prompt ?? never();
    for (const [user, prompt] of [
      ['alice:staff', alice],
      ['1000:1000', readPrompt('I have no name!@dev:/$ ')?.prompt ?? never()],
    ] as const) {
      const commands = [typed('touch x', [], { prompt }), typed("cat > y <<'EOF'\nz\nEOF", [], { prompt })];
      const { steps } = stepsOf(commands, { base: { directory: '/', user }, keepFailed: false });
      const options = { from: 'x:1', about: [], base: { directory: '/', user: 'root' }, captured: undefined };
      const text = writeDockerfile(steps, options).dockerfile;
      expect(text.match(/^USER .*$/gm)).toEqual([`USER ${user}`]);
      expect(text).toContain(`COPY --chown=${user} `);
    }
  });

  test('a value of several lines is no ENV', () => {
    expect(dockerfile(['export A="one\ntwo"', 'make'])).toBe(
      'RUN ["/bin/sh","-c","set -e\\nexport A=\\"one\\ntwo\\"\\nmake"]\n',
    );
  });

  test('failed commands may fail again where that is asked for', () => {
    const base = { directory: '/', user: 'root' };
    const { steps } = stepsOf([typed('nosuch', ['bash: nosuch: command not found'])], { base, keepFailed: true });
    const options = { from: 'x:1', about: [], base, captured: undefined };
    expect(writeDockerfile(steps, options).dockerfile).toBe('FROM x:1\nRUN nosuch || true\n');
    // Neither does a comment hide that they may, nor what came before.
    const more = [
      typed('umask 027'),
      typed('nosuch # a', ['bash: nosuch: not found']),
      typed('no "\n"', ['bash: no: not found']),
    ];
    const { steps: kept } = stepsOf(more, { base, keepFailed: true });
    expect(writeDockerfile(kept, options).dockerfile).toBe(
      'FROM x:1\nRUN umask 027 \\\n    && { nosuch || true; }\n# hadolint ignore=DL3059\nRUN ["/bin/sh","-c","set -e\\numask 027\\nset +e\\nno \\"\\n\\"\\ntrue"]\n',
    );
  });
});

function never(): never {
  throw new Error('no prompt');
}
