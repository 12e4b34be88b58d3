/** Run inside the namespaces of a rig: `serve NAME`, `ask tcp|udp HOST PORT [FROM_PORT]`, `count HOST PORT` until its input ends, `send FROM TO PORT BYTES…`. */
import { createSocket } from 'node:dgram';
import { connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

const [what = '', ...args] = process.argv.slice(2);
const say = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`);

if (what === 'serve') serve(args[0] ?? '');
else if (what === 'ask') await ask(args[0] ?? '', args[1] ?? '', Number(args[2]), Number(args[3] ?? 0));
else if (what === 'count') await count(args[0] ?? '', Number(args[1]));
else if (what === 'send') send(args[0] ?? '', args[1] ?? '', Number(args[2]), args.slice(3).map(Number));

/** Every line and datagram comes back with the name in front; also told is who asked. */
function serve(name: string): void {
  const server = createServer((socket) => {
    say({ from: socket.remoteAddress, port: socket.remotePort });
    socket.on('error', () => {});
    socket.setNoDelay(true);
    const lines = createInterface({ input: socket });
    // A reset is told here, too.
    lines.on('error', () => {});
    lines.on('line', (line) => socket.write(`${name} ${line}\n`));
  });
  server.listen({ port: 80, host: '::', backlog: 200 }, () => say({ ready: true }));
  const udp = createSocket({ type: 'udp6', ipv6Only: false });
  udp.on('message', (data, from) => udp.send(`${name} ${data}`, from.port, from.address));
  udp.bind(53, '::');
}

async function ask(protocol: string, host: string, port: number, fromPort: number): Promise<void> {
  const done = (result: object): never => {
    say(result);
    process.exit(0);
  };
  setTimeout(() => done({ error: 'timeout' }), 3000);
  if (protocol === 'tcp') {
    const socket = connect(port, host, () => socket.write('hi\n'));
    socket.on('error', (error) => done({ error: error.message }));
    socket.on('data', (data) => done({ answer: data.toString().trim() }));
  } else {
    const udp = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    udp.on('message', (data, from) => done({ answer: `${data}`, from: `${from.address} ${from.port}` }));
    udp.bind(fromPort, () => udp.send('hi', port, host));
  }
}

function send(from: string, to: string, port: number, sizes: readonly number[]): void {
  const udp = createSocket('udp4');
  udp.bind(0, from, async () => {
    for (const bytes of sizes) await new Promise((resolve) => udp.send(Buffer.alloc(bytes), port, to, resolve));
    udp.close();
  });
}

/** A connection on which numbered lines are echoed, one every five milliseconds; every one must come back, in order. */
async function count(host: string, port: number): Promise<void> {
  const socket: Socket = connect(port, host);
  socket.setNoDelay(true);
  const names = new Set<string>();
  let [sent, received, last, longest, over] = [0, 0, performance.now(), 0, false];
  await new Promise<void>((resolve) => {
    const end = (error?: string): void => {
      clearInterval(timer);
      clearTimeout(limit);
      say({ sent, received, longestMs: Math.round(longest), names: [...names], ...(error && { error }) });
      socket.destroy();
      process.stdin.destroy();
      resolve();
    };
    const limit = setTimeout(() => end('timeout'), 15_000);
    const timer = setInterval(() => {
      if (!over) socket.write(`${sent++}\n`);
      else if (received === sent) end();
    }, 5);
    process.stdin.resume().on('end', () => {
      over = true;
    });
    socket.on('error', (error) => end(error.message)).on('end', () => end('closed'));
    createInterface({ input: socket })
      .on('line', (line) => {
        const [name = '', number] = line.split(' ');
        if (Number(number) !== received) end(`expected ${received}, got ${line}`);
        if (received++ === 0) say({ begun: true });
        names.add(name);
        longest = Math.max(longest, performance.now() - last);
        last = performance.now();
      })
      .on('error', () => {});
  });
}
