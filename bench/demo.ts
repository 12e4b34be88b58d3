/**
 * `./dev demo`: moves a container that counts, under HTTP load, from one lab host to another, and shows what the
 * command shows and what a client saw. Leaves no lab running.
 */
import { Lab } from '../lab/lab.ts';
import { CountingClient } from './counting-client.ts';

const say = (line: string) => process.stdout.write(`${line}\n`);
const onProgress = (line: string) => process.stderr.write(`demo: ${line}\n`);

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());

await using lab = await Lab.up({
  name: `demo-${process.pid}`.slice(0, 13),
  hosts: ['a', 'b'],
  programDir: 'dist',
  ephemeral: true,
  onProgress,
  signal: stop.signal,
});
await lab.image('counter', ['a'], onProgress);
const [a, b] = [lab.host('a'), lab.host('b')];
await a.run('docker', ['run', '-d', '--pull=never', '--name', 'web', '-p', '8080:80', 'counter']);

const load = new CountingClient([`http://${a.address}:8080/`, `http://${b.address}:8080/`]);
load.begin();
await load.until(20, stop.signal);

say('\nroot@a:~# drayage migrate docker:web --to root@b --drop-connections --yes');
const terminal = process.stdout.isTTY && process.stdin.isTTY ? process.env.TERM : undefined;
const migrate = ['migrate', 'docker:web', '--to', 'root@b', '--drop-connections', '--yes'];
const status = await a.onTerminal('drayage', migrate, terminal);
await load.until(load.answered + 20, stop.signal);
load.end();

say('\nroot@b:~# docker ps');
say((await b.run('docker', ['ps', '--format', 'table {{.Names}}\t{{.Image}}\t{{.Status}}\t{{.Ports}}'])).stdout.trim());
say('\nroot@b:~# docker logs web | tail -n 3');
say((await b.run('docker', ['logs', '--tail', '3', 'web'])).stdout.trim());
say(`\n${load.summary()}`);
process.exitCode = status;
