/** What traffic is decided from: plain JSON, which travels between the hosts and is kept in files. */

export type Protocol = 'tcp' | 'udp';

export interface HostPort {
  protocol: Protocol;
  /** Absent where every address of the host takes it. */
  hostAddress?: string;
  hostPort: number;
}

/** A port of the host that leads to one of the workload. */
export interface PublishedPort extends HostPort {
  /** The workload's own. */
  address: string;
  port: number;
}

/** One address of a workload, on a bridge that both hosts have. */
export interface WorkloadAddress {
  address: string;
  /** Of the bridge's network, `172.30.0.0/24`. */
  subnet: string;
  mac: string;
  /** The engine's name of the network. */
  network?: string;
  /** Name of the bridge on the host in question. */
  bridge: string;
  /** The workload's port of that bridge on the source; what comes out of it is held back. */
  port?: string;
  /** Others on that network that stay on the source. */
  peers: readonly string[];
  /** On the target: the copy's own address there, where it did not get this one and has it on its loopback device. */
  by?: string;
}

/** A connection that was open when the workload was frozen. */
export interface Flow {
  protocol: Protocol;
  /** The workload's own end. */
  address: string;
  port: number;
  /** The other end. */
  peer: string;
  peerPort: number;
  /** How the other end knows the workload where the host's NAT stood between. */
  known?: { address: string; port: number };
  /** Who opened it. */
  by: 'peer' | 'workload';
}

/** How packets get to the other host. */
export interface Hop {
  device: string;
  /** Of the other host on that device, per family; a family without one is not forwarded. */
  via: { 4?: string; 6?: string };
  /** The other host's, by which its packets are told from those of others; absent where the device is theirs alone. */
  mac?: string;
  /** Largest TCP segment for new connections, where the way takes less than Ethernet: without IP and TCP headers, of IPv4. */
  mss?: number;
}
