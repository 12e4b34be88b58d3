import { describe } from 'vitest';
import { faultMatrix } from './faults.ts';

describe('Docker 28', () => faultMatrix(28));
