/**
 * What the program starts with: `drayage dial`, with which every connection between hosts begins, is answered here; the
 * rest is loaded for everything else only, because reading it takes longer than dialling.
 */
if (process.argv[2] === 'dial' && process.argv.length === 3) {
  const { dial, openStdio } = await import('./agent/dial.ts');
  const { AGENT_SOCKET } = await import('./fleet/layout.ts');
  process.exit(await dial({ socketPath: AGENT_SOCKET, ...openStdio(), sshConnection: process.env.SSH_CONNECTION }));
} else await import('./main.ts');
