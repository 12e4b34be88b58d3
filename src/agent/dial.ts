/**
 * `drayage dial`: joins its stdin and stdout to the agent's socket, for ssh to run. Imports next to nothing: it is
 * started for every connection, also inside a freeze.
 */
import { fstatSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { DrayageError, ERRORS } from '../errors.ts';

export interface DialOptions {
  socketPath: string;
  stdin: Readable;
  stdout: Writable;
  /** SSH_CONNECTION: `client-address client-port server-address server-port`; absent where ssh has not started us. */
  sshConnection?: string | undefined;
}

const BUFFER_BYTES = 1 << 20;

/**
 * Copies both ways until both have ended; each end is passed on by itself. Where there is no agent, the other side is
 * told so in the line in which it expects the agent's hello.
 * @returns the exit status: 0, that of AGENT_ABSENT or AGENT_DENIED, or 1 where the connection broke
 */
export function dial({ socketPath, stdin, stdout, sshConnection }: DialOptions): Promise<number> {
  return new Promise((resolve) => {
    const socket = new Socket({ allowHalfOpen: true, highWaterMark: BUFFER_BYTES } as SocketOptions);
    const onAbsent = (error: NodeJS.ErrnoException) => {
      const code = error.code === 'EACCES' ? 'AGENT_DENIED' : 'AGENT_ABSENT';
      const refusal = new DrayageError(code, `${socketPath}: ${error.message}.`);
      stdout.end(`${JSON.stringify({ error: refusal })}\n`, () => resolve(ERRORS[code].exit));
    };
    socket.connect(socketPath).once('error', onAbsent);
    socket.once('connect', () => {
      socket.off('error', onAbsent);
      const broken = () => {
        socket.destroy();
        resolve(1);
      };
      for (const stream of [socket, stdin, stdout]) stream.on('error', broken);
      const client = sshConnection?.split(' ')[0];
      if (client !== undefined && client !== '') socket.write(`${JSON.stringify({ dialledFrom: client })}\n`);
      stdin.pipe(socket);
      socket.pipe(stdout);
      let open = 2;
      const done = () => --open === 0 && resolve(0);
      socket.once('finish', done);
      stdout.once('finish', done);
    });
  });
}

/** This process's stdin and stdout so that ending stdout reaches the other side: node's own never close theirs. */
export function openStdio(): { stdin: Readable; stdout: Writable } {
  const isStream = (fd: number) => fstatSync(fd).isFIFO() || fstatSync(fd).isSocket();
  if (!isStream(0) || !isStream(1)) return { stdin: process.stdin, stdout: process.stdout };
  const stdin = new Socket({ fd: 0, readable: true, writable: false, highWaterMark: BUFFER_BYTES } as SocketOptions);
  const stdout = new Socket({ fd: 1, readable: false, writable: true, highWaterMark: BUFFER_BYTES } as SocketOptions);
  stdout.once('finish', () => stdout.destroy()); // A pipe cannot be shut down, only closed.
  return { stdin, stdout };
}

type SocketOptions = ConstructorParameters<typeof Socket>[0];
