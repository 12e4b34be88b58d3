/** This host as the target of an import: TargetPort without a connection. */
import { duplexPair } from 'node:stream';
import type { HostFacts, TreeQuestion, TreeSurroundings } from '../engines/facts.ts';
import { DrayageError } from '../errors.ts';
import type { TargetPort } from '../migration/target-port.ts';
import type { Targets } from './targets.ts';

interface Surveys {
  hostFacts: (signal: AbortSignal) => Promise<HostFacts>;
  surveyTree: (question: TreeQuestion, signal: AbortSignal) => Promise<TreeSurroundings>;
}

export function localTarget(targets: Targets, { hostFacts, surveyTree }: Surveys): TargetPort {
  const no = (): never => {
    throw new DrayageError('INTERNAL', 'An import has no need of that.');
  };
  return {
    survey() {
      return hostFacts(this.signal ?? new AbortController().signal);
    },
    surveyTree(question) {
      return surveyTree(question, this.signal ?? new AbortController().signal);
    },
    open: (request) => targets.open(request, NEVER),
    channel: async (id, purpose, meta) => {
      const [near, far] = duplexPair({ highWaterMark: 1 << 20 });
      far.on('error', () => {}); // Whoever reads it is told.
      targets.channel(far, purpose, id, meta).then(
        () => {
          if (!far.writableEnded) far.end();
        },
        (error: Error) => {
          near.destroy(error);
          far.destroy();
        },
      );
      return near;
    },
    settle: (id) => targets.get(id).settle(),
    create: (id) => targets.get(id).create(),
    begin: (id, start) => targets.get(id).begin(start),
    restore: (id, traffic) => targets.get(id).restore(traffic),
    commit: (id) => targets.get(id).commit(),
    release: async (id) => {
      const released = await targets.get(id).release();
      await targets.end(id);
      return released;
    },
    abort: async (id, reason) => {
      const aborted = await targets.get(id).abort(reason);
      void targets.end(id);
      return aborted;
    },
    outcome: (id) => targets.outcome(id),
    resolve: (id, keep) => targets.resolve(id, keep),
    ...{ prune: no, rewrite: no, network: no, repoint: no, inUse: no, path: no, start: no },
    lost: NEVER,
    close: async () => {},
  };
}

/** It is this host itself. */
const NEVER: Promise<never> = new Promise(() => {});
