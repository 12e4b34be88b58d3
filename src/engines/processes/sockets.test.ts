import { describe, expect, it } from 'vitest';
import type { InetSocket, SocketState } from '../../tools/proc-net.ts';
import type { ObstacleKind } from '../facts.ts';
import { needsMptcp, needsUnixPeers, type SocketTables, socketObstacles } from './sockets.ts';

const OWN = 11;
const FOREIGN = 99;

const tables = (some: Partial<SocketTables>): SocketTables => ({
  tcp: [],
  udp: [],
  unix: [],
  protocols: new Map(),
  mptcp: new Set(),
  unixPeers: new Map(),
  other: new Set(),
  ...some,
});

const inet = (host: string, state: SocketState, more: Partial<InetSocket> = {}): InetSocket => ({
  local: { host, port: 80 },
  remote: { host: '10.0.0.9', port: 5000 },
  state,
  received: 0,
  repeats: 0,
  inode: OWN,
  ...more,
});

describe('socketObstacles', () => {
  const cases: [string, Partial<SocketTables>, [ObstacleKind, string][]][] = [
    ['a listener on all addresses', { tcp: [inet('0.0.0.0', 'LISTEN')] }, []],
    ['a listener on loopback', { tcp: [inet('127.0.0.1', 'LISTEN')] }, []],
    ['a listener on one address', { tcp: [inet('172.17.0.2', 'LISTEN')] }, [['bound-address', 'tcp 172.17.0.2:80']]],
    [
      'a listener with connections to accept',
      { tcp: [inet('[::]', 'LISTEN', { received: 2 })] },
      [['listen-backlog', '[::]:80, 2 waiting']],
    ],
    [
      'a connection',
      { tcp: [inet('172.17.0.2', 'ESTABLISHED')] },
      [['tcp-established', '172.17.0.2:80 to 10.0.0.9:5000']],
    ],
    [
      'a connection that the peer closed',
      { tcp: [inet('172.17.0.2', 'CLOSE-WAIT')] },
      [['tcp-established', '172.17.0.2:80 to 10.0.0.9:5000']],
    ],
    ['a connection of somebody else', { tcp: [inet('172.17.0.2', 'ESTABLISHED', { inode: FOREIGN })] }, []],
    ['a connection that nobody holds any more', { tcp: [inet('172.17.0.2', 'TIME-WAIT', { inode: 0 })] }, []],
    ['a socket that was only bound', { tcp: [inet('0.0.0.0', 'CLOSE')] }, []],
    [
      'an MPTCP listener, which looks like TCP',
      { tcp: [inet('0.0.0.0', 'LISTEN')], mptcp: new Set([OWN]) },
      [['mptcp', '0.0.0.0:80']],
    ],
    ['UDP on one address', { udp: [inet('10.1.1.1', 'CLOSE')] }, [['bound-address', 'udp 10.1.1.1:80']]],
    ['UDP on all addresses', { udp: [inet('0.0.0.0', 'CLOSE')] }, []],
    [
      'a unix socket to the outside',
      {
        unix: [
          { inode: OWN, state: 'connected' },
          { inode: FOREIGN, state: 'connected', path: '/run/docker.sock' },
        ],
        unixPeers: new Map([[OWN, FOREIGN]]),
      },
      [['outside-unix-socket', '/run/docker.sock']],
    ],
    [
      'a datagram socket to a nameless outside',
      { unix: [{ inode: OWN, state: 'connected', path: '/own' }], unixPeers: new Map([[OWN, FOREIGN]]) },
      [['outside-unix-socket', '/own']],
    ],
    ['a pair of unix sockets', { unix: [{ inode: OWN, state: 'connected' }], unixPeers: new Map([[OWN, 12]]) }, []],
    [
      'a client that the own listener has not accepted yet',
      {
        unix: [
          { inode: OWN, state: 'connected' },
          { inode: 0, state: 'connected', path: '/own' },
          { inode: FOREIGN, state: 'connected', path: '/own' },
          { inode: 12, state: 'unconnected', path: '/own' },
        ],
        unixPeers: new Map([[OWN, FOREIGN]]),
      },
      [],
    ],
    [
      'a unix listener',
      { unix: [{ inode: OWN, state: 'unconnected', path: '/own' }], unixPeers: new Map([[OWN, 0]]) },
      [],
    ],
  ];
  it.each(cases)('%s', (_, some, expected) => {
    const found = socketObstacles(tables(some), new Set([OWN, 12]));
    expect([...found.values()].flat().map(({ kind, detail }) => [kind, detail])).toEqual(expected);
  });

  it('suspects a socket in no table only where the namespace has sockets of a strange protocol', () => {
    const kinds = (protocols: [string, number][], other: number[] = []): ObstacleKind[] => {
      const found = socketObstacles(tables({ protocols: new Map(protocols), other: new Set(other) }), new Set([OWN]));
      return [...found.values()].flat().map(({ kind }) => kind);
    };
    expect(kinds([['TCP', 1]])).toEqual([]);
    expect(kinds([['SCTP', 0]])).toEqual([]);
    expect(kinds([['SCTP', 1]])).toEqual(['sctp']);
    expect(kinds([['XDP', 1]])).toEqual(['unsupported-socket']);
    expect(kinds([['XDP', 1]], [OWN])).toEqual([]);
    expect(kinds([['NETLINK', -1]])).toEqual([]);
  });
});

it('ss is asked only where there is something to ask', () => {
  const owned = new Set([OWN]);
  expect(needsUnixPeers([{ inode: OWN, state: 'unconnected' }], owned)).toBe(false);
  expect(needsUnixPeers([{ inode: FOREIGN, state: 'connected' }], owned)).toBe(false);
  expect(needsUnixPeers([{ inode: OWN, state: 'connected' }], owned)).toBe(true);
  expect(needsMptcp(new Map([['MPTCP', 0]]))).toBe(false);
  expect(needsMptcp(new Map([['MPTCPv6', 1]]))).toBe(true);
});
