/** What is moved in a benchmark: small ones, so that ten moves of each take minutes. */
export interface Workload {
  image: string;
  /** For `docker run`. */
  flags: string[];
  command: string[];
  /** Run in the container (by docker exec) before the first move. */
  fill?: string[];
  /** Run in the container before it is archived and after it was imported: prints the same. */
  check?: string[];
  /** A line of the container's log that says that it is ready. */
  ready: RegExp;
}

export interface Scenario extends Workload {
  name: string;
  about: string;
}

export const MEM512: Scenario = {
  name: 'mem512',
  about: '512 MB of incompressible memory, some of it changing',
  image: 'memory',
  flags: [],
  command: ['mem.py', '512', '100'],
  ready: /^step \d+/m,
};

/** Of documents of random words and numbers: `zstd -1` makes less than half of it, as of what most programs hold. */
const DOCUMENTS = `
local words = {}
for i = 1, 3000 do
  local letters = {}
  for j = 1, math.random(3, 10) do letters[j] = string.char(math.random(97, 122)) end
  words[i] = table.concat(letters)
end
for i = 1, ARGV[1] do
  local text = {}
  for j = 1, 100 do text[j] = words[math.random(3000)] end
  redis.call('set', 'document:' .. i, cjson.encode({
    id = math.random(1e9), at = math.random() * 1e9, session = string.format('%08x%08x', math.random(1e9), math.random(1e9)),
    user = text[1] .. '@' .. text[2] .. '.example', text = table.concat(text, ' '),
  }))
end`;

/** 512 MB of it are keys. */
export const REDIS512: Scenario = {
  name: 'redis512',
  about: '512 MB of redis with JSON documents, a kilobyte each',
  image: 'redis',
  flags: [],
  command: ['redis-server', '--save', '', '--enable-debug-command', 'local'],
  fill: ['redis-cli', '-e', 'eval', DOCUMENTS, '0', '540000'],
  check: ['redis-cli', '-e', 'debug', 'digest'],
  ready: /Ready to accept connections/,
};

/** Those that are moved without clients. */
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
      '-e',
      'eval',
      "for i=1,100000 do redis.call('set', 'key:'..i, string.rep(i, 200):sub(1, 1000)) end",
      '0',
    ],
    ready: /Ready to accept connections/,
  },
  MEM512,
];

/** Moved under load. */
export const WEB: Scenario = {
  name: 'web',
  about: 'a web server with 200 new requests a second and 50 connections that count messages',
  image: 'web',
  flags: ['-p', '8080:80', '-p', '7007:7'],
  command: [],
  ready: /^ready$/m,
};
