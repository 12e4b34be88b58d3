/** Whether the workload is in a state that can be moved, and what of its configuration can and cannot move. */
import type { Finding } from '../finding.ts';
import type { SourceCase } from './case.ts';
import { type Entry, raising } from './finding-table.ts';

export function checkWorkload(c: SourceCase): Finding[] {
  return [...stateFindings(c), ...namespaceFindings(c), ...deviceFindings(c), ...lossFindings(c), ...policyFindings(c)];
}

export const WORKLOAD_FINDINGS = {
  NOT_RUNNING: {
    severity: 'blocks',
    meaning: 'There is no memory to move: a live move takes a running workload.',
    remedy: 'Start it first.',
  },
  PAUSED: {
    severity: 'blocks',
    meaning: 'Somebody stopped it on purpose, and after the move it would run.',
    remedy: 'Let it go on with docker unpause first.',
  },
  RESTARTING: {
    severity: 'blocks',
    meaning: 'Its program ends again and again, and what was moved would be gone a moment later.',
    remedy: 'Find out why with docker logs, and move it once it stays up.',
  },
  FOREIGN_RUNTIME: {
    severity: 'blocks',
    meaning:
      'Memory is taken and given back through runc; other runtimes keep their state elsewhere and in another form.',
    remedy: 'Create the container again with --runtime runc.',
  },
  SHARED_NAMESPACE: {
    severity: 'blocks',
    meaning: 'What it shares with the host or another container stays behind, and CRIU moves whole namespaces only.',
    remedy: 'Create the container again without that mode.',
  },
  LEGACY_LINKS: {
    severity: 'blocks',
    meaning: 'Links name containers of the same engine, which the target does not have.',
    remedy: 'Put both containers on a user-defined network, where they find each other by name.',
  },
  GPU: {
    severity: 'blocks',
    meaning: 'What a graphics card holds is out of reach of CRIU.',
    remedy: 'Move it by stopping it here and starting it there.',
  },
  CONFIGURED_DEVICE: {
    severity: 'costs',
    meaning:
      'The copy gets the device of that name on the target, with whatever state that one has; without one it cannot start.',
    remedy: 'See that the target has the device.',
  },
  PRIVILEGED: {
    severity: 'costs',
    meaning: 'It may have changed the host itself (mounts, modules, network, devices); nothing of that moves.',
    remedy: 'Make such changes on the target beforehand.',
  },
  SHAREABLE_SHM: {
    severity: 'costs',
    meaning:
      'With a shareable ipc namespace /dev/shm belongs to the engine: CRIU leaves it out, and it is empty in the copy.',
    remedy: 'Create the container again with --ipc private if its programs keep anything in /dev/shm.',
  },
  EXEC_SESSIONS: {
    severity: 'costs',
    meaning: 'What was started with docker exec belongs to the engine here, and ends with the move.',
    remedy: 'Finish these sessions first, and start them again on the target.',
  },
  LOG_HISTORY_STAYS: {
    severity: 'costs',
    meaning:
      'That driver keeps what was logged so far where it is now: docker logs on the target begins with the move.',
    remedy:
      'Nothing is to be done if logs are read elsewhere; the drivers json-file and local take their history along.',
  },
  AUTO_REMOVE: {
    severity: 'note',
    meaning: 'The engine here deletes its copy when it ends, so after the move none is kept.',
    remedy: 'Nothing is to be done; --remove would do the same.',
  },
  RESTART_POLICY: {
    severity: 'note',
    meaning:
      'The policy moves with the container. The stopped copy that stays here has none, so that it cannot come back.',
    remedy: 'Nothing is to be done.',
  },
  ADDRESS_CHANGES: {
    severity: 'note',
    meaning:
      "On the default bridge the engine chooses addresses: the container's inner address will be another one on the target.",
    remedy:
      'Where anything knows it by that address, put it on a user-defined network, where its address moves with it.',
  },
} as const satisfies Record<string, Entry>;

const raise = raising(WORKLOAD_FINDINGS);

function stateFindings({ workload, name }: SourceCase): Finding[] {
  const foreign =
    workload.foreignRuntime === undefined
      ? []
      : [raise('FOREIGN_RUNTIME', `${name} runs under ${workload.foreignRuntime}.`)];
  switch (workload.state) {
    case 'running':
      return foreign;
    case 'paused':
      return [raise('PAUSED', `${name} is paused.`), ...foreign];
    case 'restarting':
      return [raise('RESTARTING', `${name} is being restarted over and over.`), ...foreign];
    case 'exited':
    case 'created':
    case 'dead':
      return [raise('NOT_RUNNING', `${name} is not running (${workload.state}).`), ...foreign];
  }
}

function namespaceFindings({ container: { hostConfig }, name }: SourceCase): Finding[] {
  const modes = { network: hostConfig.NetworkMode, pid: hostConfig.PidMode, ipc: hostConfig.IpcMode };
  return Object.entries(modes)
    .filter(([, mode = '']) => mode === 'host' || mode.startsWith('container:'))
    .map(([kind, mode]) =>
      raise('SHARED_NAMESPACE', `${name} uses the ${kind} namespace of ${mode === 'host' ? 'the host' : mode}.`),
    );
}

function deviceFindings({ container: { hostConfig }, name }: SourceCase): Finding[] {
  const devices = (hostConfig.Devices ?? []).map(({ PathOnHost }) => PathOnHost);
  return [
    ...((hostConfig.DeviceRequests ?? []).length > 0
      ? [raise('GPU', `${name} was given graphics cards (--gpus).`)]
      : []),
    ...(devices.length > 0 ? [raise('CONFIGURED_DEVICE', `${name} was given ${devices.join(', ')}.`)] : []),
    ...(hostConfig.Privileged === true ? [raise('PRIVILEGED', `${name} is privileged.`)] : []),
  ];
}

function lossFindings({ container: { hostConfig, execIds }, name }: SourceCase): Finding[] {
  const driver = hostConfig.LogConfig?.Type ?? 'json-file';
  const sessions = execIds.length;
  return [
    ...((hostConfig.Links ?? []).length > 0
      ? [raise('LEGACY_LINKS', `${name} is linked to other containers (--link).`)]
      : []),
    ...(hostConfig.IpcMode === 'shareable' ? [raise('SHAREABLE_SHM', `${name} has a shareable ipc namespace.`)] : []),
    ...(sessions > 0
      ? [raise('EXEC_SESSIONS', `${name} has ${sessions} exec session${sessions === 1 ? '' : 's'} open.`)]
      : []),
    ...(['json-file', 'local', 'none'].includes(driver)
      ? []
      : [raise('LOG_HISTORY_STAYS', `${name} logs through the driver ${driver}.`)]),
  ];
}

function policyFindings({ container: { hostConfig, endpoints }, name }: SourceCase): Finding[] {
  const policy = hostConfig.RestartPolicy?.Name ?? 'no';
  const address = endpoints.bridge?.IPAddress ?? '';
  return [
    ...(hostConfig.AutoRemove === true ? [raise('AUTO_REMOVE', `${name} was started with --rm.`)] : []),
    ...(policy === 'no' || policy === '' ? [] : [raise('RESTART_POLICY', `${name} has the restart policy ${policy}.`)]),
    ...(address === '' ? [] : [raise('ADDRESS_CHANGES', `${name} has ${address} on the default bridge.`)]),
  ];
}
