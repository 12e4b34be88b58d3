import { describe, test } from 'vitest';
import { faultMatrix, targetDiskFillsUp } from './faults.ts';
import { DOCKERS } from './setup.ts';

describe.each(DOCKERS)('Docker %i', (version) => {
  faultMatrix(version);
  if (version === 26) test('the disk of the target fills up', targetDiskFillsUp);
});
