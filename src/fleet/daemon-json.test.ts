import fc from 'fast-check';
import { expect, test } from 'vitest';
import { withoutRuntime, withRuntime } from './daemon-json.ts';

const FILE = '/etc/docker/daemon.json';
const RUNTIME = '{\n    "drayage": {\n      "path": "/usr/local/lib/drayage/shim/drayage-runc"\n    }\n  }';

test.each([
  ['no file', null, `{\n  "runtimes": ${RUNTIME}\n}\n`],
  ['an empty file', ' \n', `{\n  "runtimes": ${RUNTIME}\n}\n`],
  ['a byte order mark', '\uFEFF{"debug":true}', `{\n  "debug": true,\n  "runtimes": ${RUNTIME}\n}\n`],
  ['an old path', '{"runtimes":{"drayage":{"path":"/old"}},"z":1}', `{\n  "runtimes": ${RUNTIME},\n  "z": 1\n}\n`],
])('adds the runtime to %s', (_, before, after) => expect(withRuntime(before, FILE)).toBe(after));

test('adds it once', () => {
  expect(withRuntime(withRuntime('{"a":1}', FILE), FILE)).toBeNull();
});

test.each(['{', '[]', '"x"', '{"runtimes":[]}', '{"a":1,}'])('refuses %s', (text) => {
  expect(() => withRuntime(text, FILE)).toThrow(expect.objectContaining({ code: 'SETUP_DAEMON_JSON' }));
});

test('removal shows the daemon an emptied object, then leaves nothing', () => {
  expect(withoutRuntime(withRuntime(null, FILE), null, FILE)).toEqual({
    reload: '{\n  "runtimes": {}\n}\n',
    final: null,
  });
  expect(withoutRuntime('{"debug":true}', null, FILE)).toBeNull();
  expect(withoutRuntime(null, null, FILE)).toBeNull();
});

test('removal keeps what was written to the file in the meantime', () => {
  const before = '{"debug":true}';
  const later = JSON.stringify({ ...JSON.parse(withRuntime(before, FILE) ?? ''), mtu: 1400 });
  expect(JSON.parse(withoutRuntime(later, before, FILE)?.final ?? '')).toEqual({ debug: true, mtu: 1400 });
  expect(withoutRuntime(later, 'broken{', FILE)?.final).toContain('mtu');
});

test('adding and removing is the identity, byte for byte; what is foreign keeps value and order', () => {
  const key = fc.string().filter((s) => s !== '__proto__' && s !== 'runtimes' && !/^\d+$/.test(s));
  const others = fc.dictionary(
    key.filter((s) => s !== 'drayage'),
    fc.record({ path: fc.string() }),
  );
  const config = fc.tuple(fc.dictionary(key, fc.jsonValue()), fc.option(others)).map(([rest, runtimes]) => ({
    ...rest,
    ...(runtimes === null ? {} : { runtimes }),
  }));
  fc.assert(
    fc.property(config, fc.integer({ min: 0, max: 8 }), (value, indent) => {
      const before = JSON.stringify(value, null, indent);
      const merged = withRuntime(before, FILE) ?? '';
      const { runtimes, ...rest } = JSON.parse(merged);
      const { runtimes: had = {}, ...restBefore } = JSON.parse(before);
      expect(JSON.stringify(rest)).toBe(JSON.stringify(restBefore));
      expect(Object.keys(runtimes)).toEqual([...Object.keys(had), 'drayage']);
      expect(withoutRuntime(merged, before, FILE)?.final).toBe(before);
    }),
  );
});
