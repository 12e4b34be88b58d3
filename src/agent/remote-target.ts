/** The target of a migration, on another host: TargetPort over the agents' connection. */
import type { TargetPort } from '../migration/target-port.ts';
import type { ReplayTarget } from '../replay/move/target-port.ts';
import type { AgentProtocol } from './agent-protocol.ts';
import { openChannel } from './channels.ts';
import type { Connection } from './connection.ts';

/** A host that workloads can be moved to, and rebuilt on. */
export type Target = TargetPort & { replay: ReplayTarget };

export function remoteTarget(connection: Connection<AgentProtocol>): Target {
  const cancellable = (port: TargetPort) => (port.signal === undefined ? {} : { signal: port.signal });
  return {
    survey() {
      return connection.call('target.survey', {}, cancellable(this));
    },
    surveyTree(question) {
      return connection.call('target.surveyTree', question, cancellable(this));
    },
    path(end) {
      return connection.call('target.path', { end }, cancellable(this));
    },
    async inUse(questions) {
      return (await connection.call('target.inUse', { questions }, cancellable(this))).addresses;
    },
    open(request) {
      return connection.call('target.open', request, cancellable(this));
    },
    channel(id, purpose, meta) {
      return openChannel(connection, purpose, { id, meta }, cancellable(this));
    },
    settle(id) {
      return connection.call('target.settle', { id }, cancellable(this));
    },
    create(id) {
      return connection.call('target.create', { id }, cancellable(this));
    },
    begin(id, start) {
      return connection.call('target.begin', { id, ...start }, cancellable(this));
    },
    prune(id, key, listings) {
      return connection.call('target.prune', { id, key, listings }, cancellable(this));
    },
    async rewrite(id, key, files) {
      return (await connection.call('target.rewrite', { id, key, files: [...files] }, cancellable(this))).done;
    },
    network() {
      return connection.call('target.network', {}, cancellable(this));
    },
    repoint: (forward, to) => connection.call('forwards.repoint', { id: forward, to }),
    restore(id, traffic) {
      return connection.call('target.restore', { id, ...(traffic && { traffic }) }, cancellable(this));
    },
    start(id, traffic) {
      return connection.call('target.start', { id, ...(traffic && { traffic }) }, cancellable(this));
    },
    commit: (id) => connection.call('target.commit', { id }),
    release: (id) => connection.call('target.release', { id }),
    abort: (id, reason) => connection.call('target.abort', { id, reason }),
    outcome: async (id) => (await connection.call('target.outcome', { id })).outcome,
    resolve: (id, keep) => connection.call('target.resolve', { id, keep }),
    lost: connection.closed,
    close: () => connection.close(),
    replay: remoteReplay(connection),
  };
}

function remoteReplay(connection: Connection<AgentProtocol>): ReplayTarget {
  return {
    open: (request) => connection.call('replay.open', request),
    channel: (id, what) => openChannel(connection, 'replay', { id, meta: what }),
    finish: (id, start) => connection.call('replay.finish', { id, start }),
    abort: (id, reason) => connection.call('replay.abort', { id, reason }),
  };
}
