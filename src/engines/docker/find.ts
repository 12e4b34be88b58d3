/** Which container a user means. */
import { DrayageError } from '../../errors.ts';
import type { ContainerSummary } from '../../tools/docker-types.ts';

/**
 * The one container of that exact name, or else of an id that begins so.
 * @throws DrayageError WORKLOAD_UNKNOWN, with the names that are near; WORKLOAD_AMBIGUOUS
 */
export function findContainer(containers: readonly ContainerSummary[], name: string): ContainerSummary {
  const named = containers.find((container) => nameOf(container) === name);
  if (named !== undefined) return named;
  const byId = name === '' ? [] : containers.filter((container) => container.Id.startsWith(name.toLowerCase()));
  const [first, ...others] = byId;
  if (first === undefined) {
    throw new DrayageError('WORKLOAD_UNKNOWN', `There is no container ${name} here.${suggestion(containers, name)}`);
  }
  if (others.length > 0) {
    const names = byId.map((container) => `${nameOf(container)} (${container.Id.slice(0, 12)})`);
    throw new DrayageError('WORKLOAD_AMBIGUOUS', `${name} may mean ${names.join(' or ')}.`);
  }
  return first;
}

/** Its own name; a container on the default bridge also has one for each link to it, `/other/alias`. */
export function nameOf(container: ContainerSummary): string {
  const own = container.Names.find((name) => name.lastIndexOf('/') === 0);
  return own?.slice(1) ?? container.Id.slice(0, 12);
}

function suggestion(containers: readonly ContainerSummary[], name: string): string {
  const near = containers
    .map((container) => ({ name: nameOf(container), distance: distance(nameOf(container), name) }))
    .filter((candidate) => candidate.distance <= 2 || (name.length > 1 && candidate.name.includes(name)))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3);
  return near.length === 0 ? '' : ` Did you mean ${near.map((candidate) => candidate.name).join(' or ')}?`;
}

/** Levenshtein's: letters to add, drop or change. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries()) {
      const change = (row[j] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(change, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
