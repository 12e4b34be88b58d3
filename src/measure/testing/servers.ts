/** Servers on loopback that misbehave as told. */
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { reachHttp, reachTcp } from '../target.ts';

export interface TestServer extends AsyncDisposable {
  port: number;
  /** Every connection that is open. */
  sockets: Set<Socket>;
  /** Stops to listen and cuts every connection, by a reset. */
  kill(): Promise<void>;
  /** Listens again on the same port. */
  revive(): Promise<void>;
}

export async function webServer(answer: RequestListener = (_, response) => void response.end('hello')) {
  const server = await listening(createServer({ keepAliveTimeout: 60_000 }, answer));
  return Object.assign(server, { target: () => reachHttp(new URL(`http://127.0.0.1:${server.port}/`)) });
}

/** @param answer what is written for one line, without its end; default the same line */
export async function echoServer(answer: (line: string, socket: Socket) => string = (line) => `${line}\n`) {
  const listener = (socket: Socket) => {
    let rest = '';
    socket.setNoDelay().on('data', (chunk) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) socket.write(answer(line, socket));
    });
  };
  const server = await listening(createTcpServer(listener));
  return Object.assign(server, { target: () => reachTcp(`127.0.0.1:${server.port}`) });
}

async function listening(server: Server): Promise<TestServer> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).once('close', () => sockets.delete(socket));
  });
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const kill = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.resetAndDestroy();
    });
  return { port, sockets, kill, revive: () => listen(port), [Symbol.asyncDispose]: kill };
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
