/**
 * A client in a lab host: downloads from each address in turn for as long, and tells how fast it was.
 * Usage: node download.mjs MILLISECONDS TIMES URL...; prints the bytes per second of each time, by address, as JSON.
 */
import { connect } from 'node:net';

/** Until a connection is as fast as it gets. */
const RAMP_MS = 100;
const BUFFER_BYTES = 1 << 20;

const [ms, times] = process.argv.slice(2, 4).map(Number) as [number, number];
const urls = process.argv.slice(4).map((text) => new URL(text));
const rates = urls.map((): number[] => []);
for (let i = 0; i < times; i++) {
  for (const [at, url] of urls.entries()) rates[at]?.push(await rateOf(url));
}
process.stdout.write(`${JSON.stringify(rates)}\n`);

/** Bytes a second. */
function rateOf({ hostname, port, pathname }: URL): Promise<number> {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    let startedAt = Number.POSITIVE_INFINITY;
    // One buffer for all of it: what is measured is the way, not this program.
    const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
    const take = (count: number) => {
      if (performance.now() >= startedAt) bytes += count;
      return true;
    };
    const socket = connect({ host: hostname, port: Number(port), onread: { buffer, callback: take } });
    socket.once('error', reject).once('end', () => reject(new Error('the server ended the download')));
    socket.once('connect', () => {
      socket.write(`GET ${pathname} HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`);
      startedAt = performance.now() + RAMP_MS;
      setTimeout(() => {
        socket.removeAllListeners().destroy();
        resolve((bytes / (performance.now() - startedAt)) * 1000);
      }, RAMP_MS + ms);
    });
  });
}
