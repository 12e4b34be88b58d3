import { expect, it } from 'vitest';
import { parseInodes, parseUnixPeers } from './ss.ts';

it('parseUnixPeers reads both directions, listeners and names', () => {
  const peers = parseUnixPeers(`u_str ESTAB  0      0      /var/run/docker.sock 124771 * 120824
u_str ESTAB  0      0                         * 120826 * 120827
u_str LISTEN 0      5                   /tmp_in 120825 * 0     
u_dgr UNCONN 0      0                  /run/a b 120828 /run/c d 120829
`);
  expect([...peers]).toEqual([
    [124771, 120824],
    [120826, 120827],
    [120825, 0],
    [120828, 120829],
  ]);
});

it('parseInodes finds the inode among the extended information', () => {
  expect(
    parseInodes('LISTEN 0      5      0.0.0.0:7001 0.0.0.0:* ino:120813 sk:21c cgroup:unreachable:1 <->\n'),
  ).toEqual(new Set([120813]));
});
