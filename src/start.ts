/**
 * What the program starts with: `drayage dial`, with which every connection between hosts begins, is answered here; the
 * rest is loaded for everything else only, because reading it takes longer than dialling.
 */
const NODE = 24;

if (Number.parseInt(process.versions.node, 10) < NODE) {
  // What is loaded below cannot even be read by an older one, and would end in a syntax error.
  process.stderr.write(`drayage needs Node.js ${NODE} or newer; this is ${process.versions.node}.\n`);
  process.exit(1);
}
if (process.argv[2] === 'dial' && process.argv.length === 3) {
  const { dial, openStdio } = await import('./agent/dial.ts');
  const { AGENT_SOCKET } = await import('./fleet/layout.ts');
  process.exit(await dial({ socketPath: AGENT_SOCKET, ...openStdio(), sshConnection: process.env.SSH_CONNECTION }));
} else await import('./main.ts');
