import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'lab/**/*.test.ts', 'test/unit/**/*.test.ts'],
          testTimeout: 20_000,
          retry: 1,
        },
      },
      {
        test: {
          name: 'lab',
          include: ['test/lab/**/*.test.ts', 'test/contract/**/*.test.ts'],
          globalSetup: ['test/lab/setup.ts'],
          testTimeout: 240_000,
          hookTimeout: 300_000,
          // Two cores: the scenarios of a lane (scripts/test.ts) run one after another.
          fileParallelism: false,
          // Real engines on a machine of two cores: a second try tells a bug from a stall; both tries are told.
          retry: 1,
        },
      },
    ],
  },
});
