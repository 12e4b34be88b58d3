import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { expect, test, vi } from 'vitest';
import { noIncidents } from './connection-log.ts';
import { measure } from './measure.ts';
import { summarise } from './summarise.ts';
import { reachHttp, reachTcp } from './target.ts';
import { echoServer, pause, webServer } from './testing/servers.ts';

const never = new AbortController().signal;
const OPTIONS = { rate: 100, connections: 5, deadlineMs: 1000 };

test('a server that is well: nothing fails, and the load adds little itself', async () => {
  await using web = await webServer();
  await using echo = await echoServer();
  const measurement = measure({ ...OPTIONS, http: await web.target(), tcp: await echo.target() }, never);
  await pause(600);
  const { requests, connections, latency, lag } = summarise(await measurement.finish());
  expect(requests.failed).toBe(0);
  expect(requests.sent).toBeGreaterThan(55);
  expect(connections).toMatchObject({ speak: 'tcp', count: 5, broken: 0, incidents: noIncidents() });
  expect(connections?.answered).toBeGreaterThan(200);
  // Generous: other tests run beside it. By itself it is about a millisecond.
  expect(latency.p50).toBeLessThan(20);
  expect(lag.p50).toBeLessThan(20);
  await vi.waitFor(() => expect([web.sockets.size, echo.sockets.size]).toEqual([0, 0]));
});

test('a stall is told in full by requests that were to be sent meanwhile, and by connections', async () => {
  const held: ServerResponse[] = [];
  let isHeld = false;
  const lines: [Socket, string][] = [];
  await using web = await webServer((_, response) => void (isHeld ? held.push(response) : response.end()));
  await using echo = await echoServer((line, socket) => {
    if (!isHeld) return `${line}\n`;
    lines.push([socket, line]);
    return '';
  });
  const measurement = measure({ ...OPTIONS, http: await web.target(), tcp: await echo.target() }, never);
  await pause(200);
  isHeld = true;
  const from = measurement.clock.now();
  await pause(300);
  isHeld = false;
  const stalled = measurement.clock.now() - from;
  for (const response of held) response.end();
  for (const [socket, line] of lines) socket.write(`${line}\n`);
  await pause(200);
  const { requests, connections, latency, longestGap } = summarise(await measurement.finish());
  expect(requests.failed).toBe(0);
  expect(connections).toMatchObject({ broken: 0, incidents: noIncidents() });
  expect(longestGap?.ms).toBeGreaterThan(stalled - 25);
  expect(longestGap?.ms).toBeLessThan(stalled + 150);
  // A closed loop would have seen one slow request of many; half a second in 30 of 70 is what clients saw.
  expect(latency.p90).toBeGreaterThan(stalled / 2);
});

test('a server that dies and comes back: refused and reset, and the connections go on', async () => {
  await using web = await webServer();
  await using echo = await echoServer();
  const measurement = measure({ ...OPTIONS, http: await web.target(), tcp: await echo.target() }, never);
  await pause(200);
  await Promise.all([web.kill(), echo.kill()]);
  await pause(200);
  await Promise.all([web.revive(), echo.revive()]);
  await pause(200);
  const { requests, connections, longestGap } = summarise(await measurement.finish());
  expect(requests.failures.refused).toBeGreaterThan(10);
  expect(requests.sent - requests.failed).toBeGreaterThan(20);
  expect(connections).toMatchObject({ broken: 5, incidents: { reset: 5, refused: 5, repeated: 0, garbled: 0 } });
  expect(longestGap?.ms).toBeGreaterThan(180);
  expect(longestGap?.ms).toBeLessThan(600);
});

test.each<[string, number, (line: string) => string, object]>([
  ['repeats', 20, (line) => `${line}\n${line}\n`, { repeated: 1 }],
  ['loses', 20, () => '', { lost: 1 }],
  ['garbles', 20, (line) => `${line}x\n`, { lost: 1, garbled: 1 }],
  ['answers what was never sent', 20, (line) => `${line}\n99999\n`, { garbled: 1 }],
])('a server that %s one message of one connection', async (_, number, wrong, incidents) => {
  await using echo = await echoServer((line) => (line === String(number) ? wrong(line) : `${line}\n`));
  const measurement = measure({ rate: 0, connections: 1, deadlineMs: 400, tcp: await echo.target() }, never);
  await pause(500);
  const { connections } = summarise(await measurement.finish());
  expect(connections).toMatchObject({ broken: 0, incidents: { ...noIncidents(), ...incidents } });
});

test('a server that changes the order', async () => {
  let kept = '';
  await using echo = await echoServer((line) => {
    if (line === '10') {
      kept = line;
      return '';
    }
    return line === '11' ? `11\n${kept}\n` : `${line}\n`;
  });
  const measurement = measure({ rate: 0, connections: 1, deadlineMs: 1000, tcp: await echo.target() }, never);
  await pause(300);
  expect(summarise(await measurement.finish()).connections?.incidents).toEqual({ ...noIncidents(), reordered: 1 });
});

test('a server that falls silent: timeouts, and a new connection for each', async () => {
  let silent = false;
  await using web = await webServer((_, response) => void (silent || response.end()));
  await using echo = await echoServer((line) => (silent ? '' : `${line}\n`));
  const targets = { http: await web.target(), tcp: await echo.target() };
  silent = true;
  const measurement = measure({ rate: 100, connections: 2, deadlineMs: 150, ...targets }, never);
  await pause(250);
  const { requests, connections, longestGap } = summarise(await measurement.finish());
  expect(requests.failures.timeout).toBe(requests.sent);
  expect(connections?.incidents.timeout).toBe(2);
  expect(connections?.incidents.lost).toBeGreaterThan(2);
  expect(longestGap?.ms).toBeGreaterThan(200);
});

test('answers with an error status, and connections cut in the middle of an answer', async () => {
  let count = 0;
  await using web = await webServer((request, response) => {
    count++;
    if (count < 3) response.end();
    else if (count % 2 === 0) response.writeHead(503).end();
    else response.writeHead(200, { 'content-length': '10' }).write('half', () => request.socket.resetAndDestroy());
  });
  const measurement = measure({ rate: 100, connections: 0, deadlineMs: 1000, http: await web.target() }, never);
  await pause(200);
  const { requests, connections } = summarise(await measurement.finish());
  expect(requests.failures.status).toBeGreaterThan(5);
  expect(requests.failures.reset).toBeGreaterThan(5);
  expect(requests.failed).toBe(requests.sent);
  expect(connections).toBeNull();
});

test('without an echo server, connections are kept-alive ones, each one connection for good', async () => {
  const seen = new Map<unknown, number>();
  await using web = await webServer((request, response) => {
    if (request.headers['x-drayage-message'] !== undefined)
      seen.set(request.socket, (seen.get(request.socket) ?? 0) + 1);
    response.end();
  });
  const measurement = measure({ ...OPTIONS, rate: 0, http: await web.target() }, never);
  await pause(300);
  for (const socket of [...web.sockets].slice(0, 2)) socket.resetAndDestroy();
  await pause(200);
  const { connections } = summarise(await measurement.finish());
  expect(connections).toMatchObject({ speak: 'http', count: 5, broken: 2 });
  expect(seen.size).toBe(7);
  expect(Math.max(...seen.values())).toBeGreaterThan(10);
});

test('a server that closes every connection is known from the start', async () => {
  await using web = await webServer((_, response) => void response.writeHead(200, { connection: 'close' }).end());
  const http = await web.target();
  expect(http.keepsAlive).toBe(false);
  expect(measure({ ...OPTIONS, http }, AbortSignal.timeout(50)).recording.connections).toBeNull();
});

test('an aborted measurement waits for nothing', async () => {
  await using web = await webServer();
  const http = await web.target();
  web.sockets.forEach((socket) => void socket.pause());
  const stop = new AbortController();
  const measurement = measure({ ...OPTIONS, deadlineMs: 60_000, http }, stop.signal);
  await pause(50);
  stop.abort();
  const before = performance.now();
  await measurement.finish();
  expect(performance.now() - before).toBeLessThan(1000);
});

test('what does not answer is told before anything begins', async () => {
  const web = await webServer((_, response) => void response.writeHead(404).end());
  const url = new URL(`http://127.0.0.1:${web.port}/`);
  await expect(reachHttp(url)).rejects.toMatchObject({
    code: 'MEASURE_NO_ANSWER',
    message: expect.stringContaining('404'),
  });
  await expect(reachTcp(`127.0.0.1:${web.port}`)).rejects.toMatchObject({ code: 'MEASURE_NO_ECHO' });
  await web.kill();
  await expect(reachHttp(url)).rejects.toMatchObject({
    code: 'MEASURE_NO_ANSWER',
    message: expect.stringContaining('refused'),
    remedy: expect.stringContaining('published'),
  });
  await expect(reachTcp(`127.0.0.1:${web.port}`)).rejects.toMatchObject({
    code: 'MEASURE_NO_ANSWER',
    remedy: expect.stringContaining('published'),
  });
  await using silent = await echoServer(() => '');
  const quick = { deadlineMs: 100 };
  await expect(reachTcp(`127.0.0.1:${silent.port}`, quick)).rejects.toMatchObject({ code: 'MEASURE_NO_ECHO' });
  await expect(reachHttp(new URL(`http://127.0.0.1:${silent.port}/`), quick)).rejects.toMatchObject({
    code: 'MEASURE_NO_ANSWER',
    message: expect.stringContaining('timeout'),
    remedy: expect.stringContaining('firewall'),
  });
  await expect(reachHttp(url, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'CANCELLED' });
});
