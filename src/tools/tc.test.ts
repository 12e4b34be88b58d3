import { expect, it } from 'vitest';
import { batch, handOver, openQueue, parseQueue, shutQueue } from './tc.ts';

it('commands are lines of a batch', () => {
  expect(
    batch([shutQueue('a'), openQueue('a'), handOver('b', 'eth0', 'ingress')]),
  ).toBe(`qdisc replace dev a root tbf rate 8bit burst 70000 limit 67108864
qdisc change dev a root tbf rate 100gbit burst 1048576 limit 67108864
filter replace dev b ingress protocol all prio 1 handle 800::800 u32 match u32 0 0 action mirred ingress redirect dev eth0
`);
});

it('parseQueue reads the root queue (recorded from iproute2 6.1)', () => {
  expect(
    parseQueue(
      '[{"kind":"tbf","handle":"80c1:","root":true,"refcnt":3,"options":{"rate":1,"burst":181,"lat":67108682988364},"bytes":233,"packets":3,"drops":1,"overlimits":0,"requeues":0,"backlog":120,"qlen":2}]',
    ),
  ).toEqual({ waiting: 2, dropped: 1, passed: 3 });
  expect(parseQueue('[]')).toBeNull();
});
