import { describe, test } from 'vitest';
import { faultMatrix, targetDiskFillsUp } from './faults.ts';

describe('Docker 26', () => faultMatrix(26));

test('the disk of the target fills up', targetDiskFillsUp);
