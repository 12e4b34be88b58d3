/** How an area of preflight keeps its codes: one table of what each means, and a function that raises them. */
import type { Finding } from '../finding.ts';

export type Entry = Omit<Finding, 'code' | 'message'>;

export type Raise<Code extends string> = (code: Code, message: string, instead?: Partial<Entry>) => Finding;

/** A function that raises the table's codes; `instead` makes an entry more precise where it is raised. */
export function raising<Code extends string>(table: Readonly<Record<Code, Entry>>): Raise<Code> {
  return (code, message, instead = {}) => ({ code, message, ...table[code], ...instead });
}
