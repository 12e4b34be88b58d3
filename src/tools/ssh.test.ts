import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DrayageError } from '../errors.ts';
import { parseDestination, sshArguments, sshFailure, sshStopSharing } from './ssh.ts';

describe('destinations', () => {
  test.each([
    ['hostb', { host: 'hostb' }],
    ['root@hostb', { host: 'hostb', user: 'root' }],
    ['root@10.0.0.2:2222', { host: '10.0.0.2', user: 'root', port: 2222 }],
    ['ssh://root@host-b.example.org:22/', { host: 'host-b.example.org', user: 'root', port: 22 }],
    ['my_alias', { host: 'my_alias' }],
    ['root@[2001:db8::7]:2222', { host: '2001:db8::7', user: 'root', port: 2222 }],
    ['2001:db8::7', { host: '2001:db8::7' }],
    ['root@fe80::1%eth0', { host: 'fe80::1%eth0', user: 'root' }],
    ['ada@corp.example@hostb', { host: 'hostb', user: 'ada@corp.example' }],
  ])('%s', (text, expected) => {
    expect(parseDestination(text)).toEqual({ ...expected, text });
  });

  test.each([
    '',
    '-oProxyCommand=touch$' + '{IFS}x',
    'root@-oProxyCommand=x',
    '-l@hostb',
    'host b',
    'hostb;reboot',
    '$(reboot)@hostb',
    'hostb:0',
    'hostb:65536',
    'hostb:22:23x',
    '@hostb',
    'root@',
    'ssh://',
    'hostb/path',
    'a\nb',
    '`id`',
    '[::1',
    '.',
    '%h',
  ])('%j is refused', (text) => {
    expect(() => parseDestination(text)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });

  test('whatever is accepted is no option and holds nothing that a shell would read', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'ab-@:.[]%/$;` \n0_'), maxLength: 12 }), (text) => {
        try {
          const { host, user } = parseDestination(text);
          expect(host).toMatch(/^[\w:.%-]+$/);
          for (const part of [host, user ?? 'x']) expect(part.startsWith('-')).toBe(false);
        } catch (error) {
          expect(error).toBeInstanceOf(DrayageError);
        }
      }),
    );
  });
});

test('arguments: options first, then the host behind --, then the command', () => {
  const destination = parseDestination('root@hostb:2222');
  const args = sshArguments(destination, ['drayage', 'dial'], { controlDir: '/run/drayage/ssh' });
  expect(args.slice(-4)).toEqual(['--', 'hostb', 'drayage', 'dial']);
  expect(args).toEqual(
    expect.arrayContaining(['BatchMode=yes', 'ControlPath=/run/drayage/ssh/calls-%C', '-l', 'root', '-p', '2222']),
  );
  expect(sshArguments(destination, [], { controlDir: '/c', purpose: 'bulk' })).toContain('ControlPath=/c/bulk-%C');
  expect(sshArguments(destination, [])).toContain('ControlPath=none');
  expect(sshStopSharing(destination, { controlDir: '/c' }).slice(0, 2)).toEqual(['-O', 'stop']);
});

/** As OpenSSH 10.0 (Debian 13) wrote them, carriage returns and all. */
const CHANGED = `@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\r
The fingerprint for the ED25519 key sent by the remote host is\r
SHA256:p5NVQS1JBEf4U82rlUliwSSV6BuhqVUo3j8YuAVX7p0.\r
Offending ED25519 key in /root/.ssh/known_hosts:1\r
  remove with:\r
  ssh-keygen -f '/root/.ssh/known_hosts' -R '[10.77.0.2]:2299'\r
Host key for [10.77.0.2]:2299 has changed and you have requested strict checking.\r
Host key verification failed.\r
`;
test.each([
  ['HOST_KEY_CHANGED', 255, CHANGED, 'another host key'],
  ['HOST_KEY_UNKNOWN', 255, 'Host key verification failed.\r\n', 'not known here'],
  [
    'HOST_KEY_UNKNOWN',
    255,
    'No ED25519 host key is known for [10.77.0.2]:2299 and you have requested strict checking.\r\nHost key verification failed.\r\n',
    'not known here',
  ],
  [
    'HOST_AUTH',
    255,
    'root@10.77.0.2: Permission denied (publickey,password,keyboard-interactive).\r\n',
    'refuses the login',
  ],
  [
    'HOST_AUTH',
    255,
    'Received disconnect from 10.77.0.2 port 22:2: Too many authentication failures\r\n',
    'refuses the login',
  ],
  [
    'HOST_UNREACHABLE',
    255,
    'ssh: connect to host 10.77.0.2 port 2298: Connection refused\r\n',
    'port 2298: Connection refused.',
  ],
  ['HOST_UNREACHABLE', 255, 'ssh: connect to host 10.77.0.99 port 22: No route to host\r\n', 'No route to host'],
  ['HOST_UNREACHABLE', 255, 'ssh: connect to host 10.77.0.2 port 2295: Connection timed out\r\n', 'timed out'],
  [
    'HOST_UNREACHABLE',
    255,
    'ssh: Could not resolve hostname no-such-host.invalid: Temporary failure in name resolution\r\n',
    'Could not resolve',
  ],
  ['HOST_UNREACHABLE', 255, 'Connection closed by 10.77.0.2 port 2297\r\n', 'Connection closed by'],
  [
    'HOST_UNREACHABLE',
    255,
    'Connection timed out during banner exchange\r\nConnection to 10.77.0.2 port 2296 timed out\r\n',
    'timed out',
  ],
  ['HOST_UNREACHABLE', 255, '', 'ssh ended with status 255'],
  ['HOST_UNREACHABLE', null, 'spawn ssh ENOENT', 'spawn ssh ENOENT'],
  ['AGENT_MISSING', 127, 'bash: line 1: drayage: command not found\n', 'no program drayage'],
  ['AGENT_MISSING', 127, 'sh: 1: drayage: not found\n', 'no program drayage'],
  ['AGENT_MISSING', 127, 'fish: Unknown command: drayage\n', 'no program drayage'],
] as const)('%s, status %s: %j', (code, status, stderr, says) => {
  const error = sshFailure(parseDestination('root@10.77.0.2'), status, stderr);
  expect(error.code).toBe(code);
  expect(error.message).toContain(says);
  expect(error.message).toMatch(/^[^\r\n]*[^.]\.$/);
  expect(`${error.message} ${error.remedy}`).toContain('root@10.77.0.2');
});

test('the remedy for a changed key is the command that ssh itself gives', () => {
  const error = sshFailure(parseDestination('hostb'), 255, CHANGED);
  expect(error.remedy).toContain("ssh-keygen -f '/root/.ssh/known_hosts' -R '[10.77.0.2]:2299'; then");
});
