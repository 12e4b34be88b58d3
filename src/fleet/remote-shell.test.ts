import fc from 'fast-check';
import { expect, test } from 'vitest';
import { quote, remoteShell } from './remote-shell.ts';
import { localShell } from './shell.ts';

test('a quoted word is one word, whatever is in it', async () => {
  const word = fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0') && text.isWellFormed());
  await fc.assert(
    fc.asyncProperty(fc.array(word, { maxLength: 5 }), async (words) => {
      const output = await localShell.run('eval "set -- $1"; for word in "$@"; do printf "%s\\0" "$word"; done', [
        words.map(quote).join(' '),
      ]);
      expect(output).toBe(words.map((each) => `${each}\0`).join(''));
    }),
    { numRuns: 40 },
  );
});

test.each(['-oProxyCommand=true', 'a b', '$(reboot)@b', ''])('%j is no host', (text) => {
  expect(() => remoteShell(text, '/nowhere')).toThrow(expect.objectContaining({ code: 'USAGE' }));
});
