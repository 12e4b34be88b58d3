/** What makes a replay fail, in words. */
import { DrayageError } from '../../errors.ts';
import { withoutSecrets } from '../dockerfile/secrets.ts';
import type { Comparison } from '../proof/compare.ts';
import type { BuildLine } from './target-port.ts';

export function buildFailed({ step, message, output }: BuildLine & { type: 'failed' }): DrayageError {
  const said = withoutSecrets(output.slice(-5).join(' | '));
  return new DrayageError(
    'REPLAY_BUILD_FAILED',
    `The build failed at ${step}: ${message}${said === '' ? '' : ` (${said})`}`,
  );
}

export function changedSince(name: string): DrayageError {
  return new DrayageError('REPLAY_CHANGED', `More was done in ${name} since its Dockerfile was shown.`);
}

export function notAlike({ score, differences }: Comparison, required: number): DrayageError {
  const names = differences.slice(0, 3).map(({ path }) => path);
  return new DrayageError(
    'REPLAY_NOT_ALIKE',
    `${score} % alike, and ${required} % were required; ${differences.length} paths differ, among them ${names.join(', ')}.`,
  );
}
