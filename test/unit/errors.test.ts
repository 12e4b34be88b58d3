/** The table of errors, its page in the docs and the code that raises them are held equal. */
import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { EXIT_STATUSES, errorsDoc } from '../../scripts/errors-doc.ts';
import { DrayageError, ERRORS, type ErrorCode } from '../../src/errors.ts';

const codes = Object.keys(ERRORS) as ErrorCode[];
const sources = globSync(['src/**/*.ts', 'lab/**/*.ts'])
  .filter((path) => !path.endsWith('.test.ts') && path !== 'src/errors.ts')
  .map((path) => readFileSync(path, 'utf8'))
  .join('\n');

test('docs/errors.md is what the table says (else: node scripts/errors-doc.ts)', () => {
  expect(readFileSync('docs/errors.md', 'utf8')).toBe(errorsDoc());
});

test.each(codes)('%s is raised somewhere', (code) => {
  // INTERNAL is what everything else becomes.
  expect(sources.includes(`'${code}'`) || code === 'INTERNAL').toBe(true);
});

test.each(codes)('%s says what it means and what to do, in whole sentences', (code) => {
  const { meaning, remedy } = ERRORS[code];
  for (const text of [meaning, remedy]) expect(text).toMatch(/^["A-Za-z].*[.!:A-Za-z]$/s);
  expect(code).toMatch(/^[A-Z]+(_[A-Z]+)*$/);
});

test.each(codes)('%s has an exit status that is documented and is no signal or shell status', (code) => {
  const { exit } = ERRORS[code];
  expect(EXIT_STATUSES).toHaveProperty(String(exit));
  expect(exit === 130 || (exit > 1 && exit < 126)).toBe(true);
});

test('the statuses that tell how a migration ended are for nothing else', () => {
  const of = (status: number) => codes.filter((code) => ERRORS[code].exit === status);
  expect(of(0)).toEqual([]);
  expect(of(3)).toEqual(['MIGRATION_BLOCKED']);
  expect(of(5)).toEqual(['OUTCOME_UNKNOWN']);
  expect(of(6).sort()).toEqual(['ALREADY_COMMITTED', 'NOT_IN_DOUBT']);
  expect(of(130)).toEqual(['CANCELLED']);
  expect(of(70).filter((code) => !code.startsWith('LAB_'))).toContain('INTERNAL');
});

test('anything thrown becomes an error of the table', () => {
  const known = new DrayageError('USAGE', 'x');
  expect(DrayageError.from(known)).toBe(known);
  expect(DrayageError.from(new DOMException('stop', 'AbortError')).code).toBe('CANCELLED');
  for (const thrown of [new TypeError('x'), 'x', null, 7, { a: 1 }]) {
    expect(DrayageError.from(thrown)).toMatchObject({ code: 'INTERNAL', cause: thrown });
  }
});
