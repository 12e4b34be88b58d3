/**
 * Makes dist/: drayage.mjs, which starts in tens of milliseconds and is all that `drayage dial` needs, and main.mjs, the
 * rest of the program as one file.
 */
import { chmod, cp, mkdir, readFile } from 'node:fs/promises';
import { type BuildOptions, build } from 'esbuild';

const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
await mkdir('dist', { recursive: true });
const common: BuildOptions = {
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  define: { DRAYAGE_VERSION: JSON.stringify(version) },
  sourcesContent: false,
  logLevel: 'warning',
};
await build({
  ...common,
  entryPoints: ['src/start.ts'],
  outfile: 'dist/drayage.mjs',
  banner: { js: '#!/usr/bin/env node' },
  plugins: [
    {
      name: 'main-is-a-file-of-its-own',
      setup: (hooks) => hooks.onResolve({ filter: /^\.\/main\.ts$/ }, () => ({ path: './main.mjs', external: true })),
    },
  ],
});
await build({
  ...common,
  entryPoints: ['src/main.ts'],
  outfile: 'dist/main.mjs',
  // Bundled CommonJS libraries call require for node's own modules.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module';\nconst require = __createRequire(import.meta.url);",
  },
  // Every start reads and compiles all of it: names stay, for what an error says of where it was.
  minifyWhitespace: true,
  minifySyntax: true,
  sourcemap: 'linked',
});
await chmod('dist/drayage.mjs', 0o755);
for (const [from, to] of [
  ['shim', 'dist/shim'],
  ['lab/host', 'dist/lab/host'],
  ['lab/images', 'dist/lab/images'],
] as const) {
  await cp(from, to, { recursive: true });
}
