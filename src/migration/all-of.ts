/**
 * Waits for work that is done side by side, to the end of all of it: what an undo takes back must not go on meanwhile.
 * @throws the failure that stands first
 */
export async function allOf<T extends readonly unknown[] | []>(
  ...work: T
): Promise<{ -readonly [P in keyof T]: Awaited<T[P]> }> {
  const outcomes = await Promise.allSettled(work);
  const failed = outcomes.find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
  return Promise.all(work);
}
