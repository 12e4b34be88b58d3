/** What is moved in a benchmark: small ones, so that ten moves of each take minutes. */
export interface Scenario {
  name: string;
  about: string;
  image: string;
  flags: string[];
  command: string[];
  /** Run in the container (by docker exec) before the first move. */
  fill?: string[];
  /** A line of the container's log that says that it is ready. */
  ready: RegExp;
}

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'tiny',
    about: 'a busybox counter',
    image: 'counter',
    flags: ['-p', '8080:80'],
    command: [],
    ready: /^5$/m,
  },
  {
    name: 'redis',
    about: 'redis with 100 MB of keys',
    image: 'redis',
    flags: ['-p', '6379:6379'],
    command: [],
    fill: [
      'redis-cli',
      'eval',
      "for i=1,100000 do redis.call('set', 'key:'..i, string.rep(i, 200):sub(1, 1000)) end",
      '0',
    ],
    ready: /Ready to accept connections/,
  },
  {
    name: 'mem512',
    about: '512 MB of incompressible memory, some of it changing',
    image: 'memory',
    flags: [],
    command: ['mem.py', '512', '100'],
    ready: /^step \d+/m,
  },
];
