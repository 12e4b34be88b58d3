/** Facts of a workload, by the name that users write. */
import { surveyDocker } from '../engines/docker/survey.ts';
import type { WorkloadFacts, WorkloadRef, WorkloadTraffic } from '../engines/facts.ts';
import { connectionsOf } from '../engines/processes/connections.ts';
import { surveyProcesses } from '../engines/processes.ts';
import { DrayageError } from '../errors.ts';
import type { Run } from '../exec/run.ts';
import type { Docker } from '../tools/docker.ts';
import type { ContainerInspect } from '../tools/docker-types.ts';
import { readNetwork } from '../tools/ip-network.ts';
import type { Flow } from '../traffic/facts.ts';
import { ownDevices } from '../traffic/own-device.ts';
import { innerDevices, publishedPorts, workloadAddresses } from '../traffic/workload.ts';
import { readFlows } from './open-flows.ts';

/**
 * `docker:web`, or a bare name while there is one engine only.
 * @throws DrayageError WORKLOAD_UNKNOWN for another engine or an empty name.
 */
export function parseWorkload(text: string): WorkloadRef {
  const match = /^(?:(?<engine>[a-z]+):)?(?<name>[A-Za-z0-9][A-Za-z0-9_.-]*)$/.exec(text);
  const { engine = 'docker', name } = match?.groups ?? {};
  if (name === undefined) {
    throw new DrayageError(
      'WORKLOAD_UNKNOWN',
      `${JSON.stringify(text)} does not name a workload: it should read like docker:web.`,
    );
  }
  if (engine !== 'docker') {
    throw new DrayageError(
      'WORKLOAD_UNKNOWN',
      `This version of drayage moves Docker containers; it does not know the engine "${engine}".`,
    );
  }
  return { engine, name };
}

/** Everything about the workload that plan and preflight decide from. Nothing is touched. */
export async function surveyWorkload(
  docker: Docker,
  run: Run,
  text: string,
  signal: AbortSignal,
): Promise<WorkloadFacts> {
  const facts = await surveyDocker(docker, parseWorkload(text).name, { signal });
  const none = { processes: [], memoryBytes: 0 };
  const processes = facts.pid === 0 ? none : await surveyProcesses(facts.cgroupPath, { run, signal });
  return { ...facts, ...processes, ...(facts.pid > 0 && { traffic: await trafficOf(docker, run, facts, signal) }) };
}

async function trafficOf(
  docker: Docker,
  run: Run,
  { id, pid, inspect }: Pick<WorkloadFacts, 'id' | 'pid' | 'inspect'>,
  signal: AbortSignal,
): Promise<WorkloadTraffic> {
  const container = inspect as ContainerInspect;
  const ids = Object.values(container.NetworkSettings.Networks).map(({ NetworkID }) => NetworkID);
  const [networks, inner, { devices }] = await Promise.all([
    Promise.all(ids.filter(Boolean).map((network) => docker.inspectNetwork(network, { signal }))),
    innerDevices(run, pid),
    readNetwork(run),
  ]);
  const addresses = workloadAddresses(id, container, networks, inner, devices);
  const [flows, connections] = await Promise.all([readFlows(run, pid, addresses), connectionsOf(pid)]);
  // Connection tracking remembers those of an earlier container that had the address.
  const open = new Set(connections.map(({ remote }) => `${remote.host} ${remote.port}`));
  const isOpen = ({ protocol, peer, peerPort }: Flow): boolean =>
    protocol !== 'tcp' || open.has(`${peer.includes(':') ? `[${peer}]` : peer} ${peerPort}`);
  const others = (by: Flow['by']): string[] => {
    const peers = flows.filter((flow) => flow.by === by && isOpen(flow)).map(({ peer }) => peer);
    return [...new Set(peers)].slice(0, MOST_PEERS);
  };
  return {
    published: publishedPorts(container, networks),
    addresses,
    own: ownDevices(container, networks, inner, devices),
    clients: others('peer'),
    servers: others('workload'),
  };
}

/** More than this are of the same networks. */
const MOST_PEERS = 300;
