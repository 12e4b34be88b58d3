import { expect, it } from 'vitest';
import {
  formatEndpoint,
  isLoopback,
  isWildcard,
  parseBacklogs,
  parseInetSockets,
  parseLastInodes,
  parseProtocols,
  parseUnixSockets,
} from './proc-net.ts';

it('parseInetSockets reads IPv4, without what is over', () => {
  const sockets = parseInetSockets(TCP);
  expect(sockets.map(({ local, state, received, inode }) => [formatEndpoint(local), state, received, inode])).toEqual([
    ['0.0.0.0:7002', 'LISTEN', 0, 120816],
    ['0.0.0.0:7006', 'LISTEN', 1, 120822],
    ['127.0.0.1:7006', 'ESTABLISHED', 0, 0],
    ['127.0.0.1:47438', 'ESTABLISHED', 0, 120823],
  ]);
  expect(formatEndpoint(sockets[3]?.remote ?? { host: '', port: 0 })).toBe('127.0.0.1:7006');
});

it('parseBacklogs tells which processors have packets to look at', () => {
  const row = (backlog: string, processor: string) =>
    `0cff64db 0000008d 00000071 ${'00000000 '.repeat(8)}${backlog} ${processor} 00000000 00000000\n`;
  expect(parseBacklogs(row('00000000', '00000000') + row('00000003', '00000001'))).toEqual([1]);
  expect(parseBacklogs('0cff64db 0000008d 00000071\n')).toEqual([]);
});

it('parseInetSockets reads IPv6, and IPv4 within', () => {
  const addresses = parseInetSockets(TCP6).map(({ local }) => formatEndpoint(local));
  expect(addresses).toEqual(['[::]:80', '[::1]:5432', '[fe80::42:bfff:fe75:8b61]:546', '127.0.0.1:46784']);
});

it('tells the wildcard and loopback', () => {
  const [any, loopback, linkLocal, mapped] = parseInetSockets(TCP6).map(({ local }) => local);
  for (const [address, wildcard, own] of [
    [any, true, false],
    [loopback, false, true],
    [linkLocal, false, false],
    [mapped, false, true],
  ] as const) {
    expect(address).toBeDefined();
    if (address !== undefined) expect([isWildcard(address), isLoopback(address)]).toEqual([wildcard, own]);
  }
});

it('parseUnixSockets reads names with spaces, abstract ones and none', () => {
  expect(parseUnixSockets(UNIX)).toEqual([
    { inode: 124771, state: 'connected', path: '/var/run/docker.sock' },
    { inode: 120826, state: 'connected' },
    { inode: 120825, state: 'unconnected', path: '/tmp in' },
    { inode: 120827, state: 'unconnected', path: '@abstract' },
  ]);
});

it('parseProtocols counts sockets in use', () => {
  const protocols = parseProtocols(PROTOCOLS);
  expect([...protocols]).toEqual([
    ['AF_VSOCK', 0],
    ['XDP', 1],
    ['UNIX-STREAM', 8],
    ['MPTCP', 1],
  ]);
});

it('parseLastInodes takes the last column', () => {
  expect(parseLastInodes(NETLINK)).toEqual([124700, 124730]);
});

it('nothing comes of empty text', () => {
  expect([parseInetSockets(''), parseUnixSockets(''), parseLastInodes(''), [...parseProtocols('')]]).toEqual([
    [],
    [],
    [],
    [],
  ]);
});

const TCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     
   0: 00000000:1B5A 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 120816 1 00000000c3b9d42c 100 0 0 10 0                    
   2: 00000000:1B5E 00000000:0000 0A 00000000:00000001 00:00000000 00000000     0        0 120822 2 0000000066117c48 100 0 0 10 0                    
   5: 0100007F:1B5E 0100007F:B94E 01 00000000:00000000 00:00000000 00000000     0        0 0 1 00000000ae04f7ea 20 0 0 10 -1                         
   6: 0100007F:B94E 0100007F:1B5E 01 00000000:00000000 00:00000000 00000000     0        0 120823 2 0000000029ca70a5 20 0 0 10 -1                    
`;

const TCP6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0000000000000000 100 0 0 10 0
   1: 00000000000000000000000001000000:1538 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4243 1 0000000000000000 100 0 0 10 0
   2: 000080FE00000000FFBF4200618B75FE:0222 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4244 1 0000000000000000 100 0 0 10 0
   3: 0000000000000000FFFF00000100007F:B6C0 0000000000000000FFFF00000100007F:0050 01 00000000:00000000 00:00000000 00000000     0        0 4245 1 0000000000000000 20 4 30 10 -1
`;

const UNIX = `Num       RefCount Protocol Flags    Type St Inode Path
000000001c4e0ceb: 00000003 00000000 00000000 0001 03 124771 /var/run/docker.sock
000000005dacb605: 00000003 00000000 00000000 0001 03 120826
00000000f02b02c9: 00000002 00000000 00010000 0001 01 120825 /tmp in
00000000384db663: 00000003 00000000 00010000 0001 01 120827 @abstract
`;

const PROTOCOLS = `protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re bi br ha uh gp em
AF_VSOCK  1240      0      -1   NI       0   yes  kernel      y  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n
XDP       1088      1      -1   NI       0   no   kernel      n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n
UNIX-STREAM 1152      8      -1   NI       0   yes  kernel      y  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n
MPTCP     1936      1     159   no       0   yes  kernel      y  y  y  n  y  y  y  y  y  y  y  y  n  n  y  y  y  n
`;

const NETLINK = `sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
000000000c39ba93 0   0          00000000 0        0        0     2        0        124700  
0000000081feaa3e 0   84         00000000 0        0        0     2        0        124730  
`;
