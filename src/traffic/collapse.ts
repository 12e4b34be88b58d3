/** Pure: what becomes of a workload's forwards when it moves again. Chains are never left: every host forwards straight. */

/** A forward as both of its hosts keep it. */
export interface ForwardEnds {
  id: string;
  /** The host that the workload left. */
  source: string;
  /** The one that had it then, or has it now. */
  target: string;
}

export type ForwardStep =
  /** A new one, from where it was; `open`: only for connections that were opened to that host while it was there. */
  | { do: 'forward'; source: string; target: string; only?: 'open' }
  /** `source` is told of `target`; `relay` passes on what still comes to it until then. */
  | { do: 'repoint'; id: string; source: string; target: string; relay: string }
  /** It has come home: `source` goes on rewriting for connections that are open, and forwards nothing any more. */
  | { do: 'come-home'; id: string; source: string; relay: string };

/** Newest last, as its forwards are to be ranked on the target. */
export function afterMove(forwards: readonly ForwardEnds[], from: string, to: string): ForwardStep[] {
  const passing = forwards.filter(({ target, source }) => target === from && source !== from);
  const home = passing.some(({ source }) => source === to);
  return [
    ...passing.map(
      ({ id, source }): ForwardStep =>
        source === to
          ? { do: 'come-home', id, source, relay: from }
          : { do: 'repoint', id, source, target: to, relay: from },
    ),
    { do: 'forward', source: from, target: to, ...(home ? { only: 'open' as const } : {}) },
  ];
}
