/** Does all of it in turn, whatever becomes of the steps before. @returns what went wrong */
export async function inTurn(...steps: readonly (() => Promise<void>)[]): Promise<unknown[]> {
  const failures: unknown[] = [];
  for (const step of steps) await step().catch((error: unknown) => failures.push(error));
  return failures;
}
