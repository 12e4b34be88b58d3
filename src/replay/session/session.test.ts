import { expect, test } from 'vitest';
import { readContinuation, readPrompt } from './prompt.ts';
import { inSequence, programOf, simpleCommands, withoutComment } from './simple-commands.ts';
import { tokenize } from './tokens.ts';
import { Output } from './typed-command.ts';

test.each([
  ['root@3f2a91c0b7de:/# ls -l', 'ls -l', { user: 'root', directory: '/', isRoot: true }],
  ['alice@dev:~/my files$ make', 'make', { user: 'alice', directory: '~/my files', isRoot: false }],
  ['[root@fedora ~]# dnf install x', 'dnf install x', { user: 'root', directory: '~', isRoot: true }],
  ['(venv) root@dev:/app# pip list', 'pip list', { user: 'root', directory: '/app' }],
  ['user@mac ~ % brew', 'brew', { user: 'user', directory: '~', isRoot: false }],
  // Of a user without an entry in /etc/passwd: docker run -u 1000.
  ['I have no name!@dev:/srv$ id', 'id', { host: 'dev', directory: '/srv', isRoot: false }],
  ['bash-5.2# id', 'id', { shell: 'bash', isRoot: true }],
  ['sh-5.1$ id', 'id', { shell: 'sh', isRoot: false }],
  ['/usr/src # make', 'make', { directory: '/usr/src', isRoot: true }],
  ['~ $ id', 'id', { directory: '~', isRoot: false }],
  ['web:/data# ls', 'ls', { host: 'web', directory: '/data' }],
  ['# apt update', 'apt update', { weak: true, isRoot: true }],
  ['dev# print x', 'print x', { weak: true, host: 'dev' }],
  ['root@dev:/#', '', { user: 'root' }],
])('%s', (line, rest, prompt) => {
  expect(readPrompt(line)).toMatchObject({ rest, prompt });
});

test.each([
  'ls -l',
  'total 0',
  '#!/bin/sh',
  'a > b',
  'Get:1 http://deb # x',
  '>>> 1 + 1',
  'postgres=# select',
  '100% done',
])('%s is no prompt', (line) => expect(readPrompt(line)).toBeUndefined());

test("a prompt of the user's own, with groups", () => {
  const custom = /^(?<user>\w+) on \w+ in (?<dir>\S+) λ /;
  expect(readPrompt('bob on box in /srv λ make all', custom)).toMatchObject({
    rest: 'make all',
    prompt: { kind: 'custom', user: 'bob', directory: '/srv' },
  });
});

test.each([
  ['> EOF', 'EOF'],
  ['>', ''],
  ['quote> b"', 'b"'],
  ['for heredoc> x', 'x'],
  ['cmdand dquote> y', 'y'],
])('%s goes on', (line, rest) => expect(readContinuation(line)).toBe(rest));

test('>>> is no continuation', () => expect(readContinuation('>>> x')).toBeUndefined());

test.each([
  ['echo "a', 'quote'],
  ["echo 'a", 'quote'],
  ['echo $(ls', 'quote'],
  ['echo a \\', 'backslash'],
  ['cat <<EOF', 'here-document'],
  ['cat <<EOF\nx', 'here-document'],
  ["cat <<'E F'\nx\nE F", undefined],
  ['cat <<-EOF\n\tx\n\tEOF', undefined],
  ['for i in 1 2', 'command'],
  ['for i in 1; do echo $i; done', undefined],
  ['if true; then', 'command'],
  ['case x in x) echo;; esac', undefined],
  ['f() {', 'command'],
  ['a &&', 'command'],
  ['a |', 'command'],
  ['(cd /x', 'command'],
  ['echo done', undefined],
  ['echo "a $(echo ")") b"', undefined],
  ["ls # it's", undefined],
  ['find . -exec rm {} \\;', undefined],
])('what a shell waits for after %j', (text, waitsFor) => expect(tokenize(text).waitsFor).toBe(waitsFor));

test('a command in its parts', () => {
  const [command] = simpleCommands('A=1 B="x y" /usr/bin/env  foo\\ bar "$C" > out.txt 2>&1');
  expect(programOf(command ?? simpleCommands('x')[0] ?? never())).toBe('env');
  expect(command).toMatchObject({
    assignments: [{ name: 'A' }, { name: 'B', word: { value: 'x y' } }],
    words: [{ value: '/usr/bin/env' }, { value: 'foo bar' }, { value: undefined, raw: '"$C"' }],
    redirects: [
      { operator: '>', target: { value: 'out.txt' } },
      { operator: '2>&', target: { value: '1' } },
    ],
  });
});

test.each([
  ['mkdir a && cd a; touch b', ['mkdir a', 'cd a', 'touch b']],
  ['a || b', ['a || b']],
  ['a & b', ['a & b']],
  ['for i in 1; do x; done', ['for i in 1; do x; done']],
  ['(cd x && y)', ['(cd x && y)']],
  ['echo "a && b"', ['echo "a && b"']],
  ['a | b && c', ['a | b', 'c']],
])('%s one after the other', (text, parts) => expect(inSequence(text)).toEqual(parts));

test('a comment after a command', () => {
  expect(withoutComment('make all # the lot')).toBe('make all');
  expect(withoutComment('echo "#1" a#b')).toBe('echo "#1" a#b');
});

test('of the output of a command that has ended, its begin is kept and what matters', () => {
  const output = new Output();
  for (let i = 0; i < 200; i++) output.add(i === 0 ? '' : i % 50 === 7 ? `error ${i}` : `line ${i}`);
  output.settle((line) => line.startsWith('error'));
  expect(output.all()).toEqual(['', 'line 1', 'error 7']);
  expect(output.lines).toBe(200);
});

function never(): never {
  throw new Error('no command');
}
