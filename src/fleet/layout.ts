/** Where drayage is on a host: everything that setup puts there and remove takes away. */

/** The program: `node`, and the files of PROGRAM_PARTS. */
export const PROGRAM_DIRECTORY = '/usr/local/lib/drayage';
/** What scripts/build.ts makes in dist/, as far as a host needs it. The one that is started first comes last. */
export const PROGRAM_PARTS = ['shim/drayage-runc', 'main.mjs', 'drayage.mjs'] as const;
export const SHIM = `${PROGRAM_DIRECTORY}/shim/drayage-runc`;
/** What `ssh HOST drayage dial` finds in its PATH. */
export const WRAPPER = '/usr/local/bin/drayage';
export const WRAPPER_TEXT = `#!/bin/sh\nexec ${PROGRAM_DIRECTORY}/node ${PROGRAM_DIRECTORY}/drayage.mjs "$@"\n`;

export const CONFIG_DIRECTORY = '/etc/drayage';
/** Its being there makes a supervisor that is not systemd run the agent. */
export const AGENT_ENABLED = `${CONFIG_DIRECTORY}/agent.enabled`;
export const HOSTS_FILE = `${CONFIG_DIRECTORY}/hosts.json`;
export const STATE_DIRECTORY = '/var/lib/drayage';
export const RUN_DIRECTORY = '/run/drayage';
export const AGENT_SOCKET = `${RUN_DIRECTORY}/agent.sock`;
/** Which process the agent is and what it was started from; written by `drayage agent`. */
export const AGENT_FILE = `${RUN_DIRECTORY}/agent.json`;
export const AGENT_LOG = '/var/log/drayage-agent.log';
/** Made by the supervisor of a lab host. */
export const SUPERVISOR_DIRECTORY = '/run/drayage-supervisor';

/** Under which name Docker knows the shim. */
export const RUNTIME_NAME = 'drayage';
