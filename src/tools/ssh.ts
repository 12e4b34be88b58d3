/**
 * The system's ssh: one way to build its arguments, one way to read its failures. It honours ~/.ssh/config, known_hosts,
 * jump hosts and keys of the user it runs as, for an agent root; it never asks anything.
 */
import { join } from 'node:path';
import { DrayageError, type ErrorCode } from '../errors.ts';

export interface SshDestination {
  /** As ssh takes it: a name of ~/.ssh/config, a DNS name or an address. */
  host: string;
  user?: string;
  port?: number;
  /** As it was given, for messages. */
  text: string;
}

export interface SshOptions {
  /** 0700, short: holds the sockets by which later connections share the first one's session. */
  controlDir?: string;
  /** Connections of one purpose share a session; bulk data has its own, so that calls do not wait behind it. */
  purpose?: 'calls' | 'bulk';
}

/**
 * `[user@]host[:port]`, `ssh://[user@]host[:port]`, `[user@][IPv6]:port`, a bare IPv6 address, a name of ~/.ssh/config.
 * @throws DrayageError USAGE; also for what ssh or a shell could take for something else than a name
 */
export function parseDestination(text: string): SshDestination {
  const bare = text.replace(/^ssh:\/\//, '').replace(/\/$/, '');
  const at = bare.lastIndexOf('@'); // A directory service's user names may hold one themselves.
  const user = at === -1 ? undefined : bare.slice(0, at);
  const rest = bare.slice(at + 1);
  const ipv6 =
    /^(?:\[([0-9a-fA-F:.]+(?:%[\w.-]+)?)\](?::(\d+))?|((?:[0-9a-fA-F]*:){2,}[0-9a-fA-F.]*(?:%[\w.-]+)?))$/.exec(rest);
  const named = /^([\w][\w.-]*)(?::(\d+))?$/.exec(rest);
  const host = ipv6?.[1] ?? ipv6?.[3] ?? named?.[1];
  const port = ipv6?.[2] ?? named?.[2];
  const userIsPlain = user === undefined || /^[\w][\w.@\\+-]*\$?$/.test(user);
  const portIsPlain = port === undefined || (Number(port) > 0 && Number(port) < 65536);
  if (host === undefined || !userIsPlain || !portIsPlain) {
    throw new DrayageError('USAGE', `${JSON.stringify(text)} is not a destination for ssh.`, {
      remedy: 'Write it as HOST, USER@HOST, USER@HOST:PORT, ssh://USER@HOST:PORT or as a name of ~/.ssh/config.',
    });
  }
  return { host, text, ...(user !== undefined && { user }), ...(port !== undefined && { port: Number(port) }) };
}

/** Arguments for ssh that run a command there without a terminal; ssh hands the words to the user's shell there. */
export function sshArguments(
  destination: SshDestination,
  command: readonly string[],
  options: SshOptions = {},
): string[] {
  return ['-T', ...connectionOptions(destination, options), '--', destination.host, ...command];
}

/** Arguments for ssh that keep later connections from sharing a session which may be dead; those under way go on. */
export function sshStopSharing(destination: SshDestination, options: SshOptions): string[] {
  return ['-O', 'stop', ...connectionOptions(destination, options), '--', destination.host];
}

function connectionOptions(destination: SshDestination, { controlDir, purpose = 'calls' }: SshOptions): string[] {
  const settings = [
    'BatchMode=yes',
    'ConnectTimeout=5',
    'ServerAliveInterval=2',
    'ServerAliveCountMax=3',
    'ClearAllForwardings=yes',
    'ForwardAgent=no',
    'PermitLocalCommand=no',
    'RemoteCommand=none',
    'RequestTTY=no',
    'LogLevel=INFO', // Messages that sshFailure reads.
    'Ciphers=^aes128-gcm@openssh.com', // Where both have it, three times as fast as the default.
    ...(controlDir === undefined
      ? ['ControlMaster=no', 'ControlPath=none']
      : ['ControlMaster=auto', 'ControlPersist=60', `ControlPath=${join(controlDir, `${purpose}-%C`)}`]),
  ];
  return [
    ...settings.flatMap((setting) => ['-o', setting]),
    ...(destination.user === undefined ? [] : ['-l', destination.user]),
    ...(destination.port === undefined ? [] : ['-p', String(destination.port)]),
  ];
}

/** What OpenSSH says, in the order in which it is looked for: some lines come together with a more general one. */
const FAILURES: [RegExp, ErrorCode, string][] = [
  [/REMOTE HOST IDENTIFICATION HAS CHANGED/, 'HOST_KEY_CHANGED', 'shows another host key than the one that is known'],
  [/Host key verification failed/, 'HOST_KEY_UNKNOWN', 'shows a host key that is not known here'],
  [/Permission denied \(|Too many authentication failures/, 'HOST_AUTH', 'refuses the login'],
];

/** A remote shell's words for a program that is not there; the status is 127, with some shells 126 or 1. */
const NOT_FOUND = /drayage: (command )?not found|drayage: No such file or directory|Unknown command.*drayage/i;

/**
 * Why an ssh ended, as one of our errors: 255 is ssh's own failure, 127 the remote shell's. Tested with what OpenSSH
 * 10.0 says.
 * @param exitCode null where it was killed, or never started
 */
export function sshFailure(destination: SshDestination, exitCode: number | null, stderr: string): DrayageError {
  const { text } = destination;
  const lines = stderr
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^\*\*|^Warning: /.test(line)); // Notes on old key exchanges, on files.
  const cause = new Error(lines.join('\n').slice(-2000) || `ssh ended with status ${exitCode}`);
  if (exitCode === 127 || (exitCode !== 255 && NOT_FOUND.test(stderr))) {
    const remedy = `Put it there: drayage host add ${text}.`;
    return new DrayageError('AGENT_MISSING', `There is no program drayage on ${text}.`, { cause, remedy });
  }
  const [, code, says] = FAILURES.find(([pattern]) => exitCode === 255 && pattern.test(stderr)) ?? [];
  const reason = lines.at(-1)?.replace(/^ssh: |\.$/g, '') ?? `ssh ended with status ${exitCode}`;
  if (code === undefined) {
    const remedy = `See that ssh ${text} works for root on this host: address, port, firewall, sshd.`;
    return new DrayageError('HOST_UNREACHABLE', `${text} cannot be reached: ${reason}.`, { cause, remedy });
  }
  const remedy = REMEDIES[code]?.(text, stderr);
  return new DrayageError(code, `${text} ${says}.`, { cause, ...(remedy && { remedy }) });
}

const REMEDIES: Partial<Record<ErrorCode, (text: string, stderr: string) => string>> = {
  HOST_KEY_CHANGED: (text, stderr) => {
    const forget = /ssh-keygen -f .+ -R .+/.exec(stderr)?.[0].trim() ?? 'ssh-keygen -R HOST';
    return `Make sure which it is. If the host was reinstalled: ${forget}; then connect once by hand: ssh ${text} true.`;
  },
  HOST_KEY_UNKNOWN: (text) => `Connect once by hand as root and compare the key: ssh ${text} true.`,
  HOST_AUTH: (text) => `Put a public key of this host's root there: ssh-copy-id ${text}.`,
};
