/** Makes dist/: the program as one file, so that it starts in tens of milliseconds and travels to a host as one. */
import { chmod, cp, mkdir, readFile } from 'node:fs/promises';
import { build } from 'esbuild';

const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
await mkdir('dist', { recursive: true });
await build({
  entryPoints: ['src/main.ts'],
  outfile: 'dist/drayage.mjs',
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  define: { DRAYAGE_VERSION: JSON.stringify(version) },
  // Bundled CommonJS libraries call require for node's own modules.
  banner: {
    js: "#!/usr/bin/env node\nimport { createRequire as __createRequire } from 'node:module';\nconst require = __createRequire(import.meta.url);",
  },
  sourcemap: 'inline',
  sourcesContent: false,
  logLevel: 'warning',
});
await chmod('dist/drayage.mjs', 0o755);
await cp('shim', 'dist/shim', { recursive: true });
