/** Chain ids: by them an engine knows a layer together with all below it (OCI image specification, "Layer ChainID"). */
import { createHash } from 'node:crypto';

/** @param diffIds bottom first; the answer is in the same order: one chain id for each layer */
export function chainIds(diffIds: readonly string[]): string[] {
  const chain: string[] = [];
  let below: string | undefined;
  for (const diffId of diffIds) {
    below = below === undefined ? diffId : `sha256:${createHash('sha256').update(`${below} ${diffId}`).digest('hex')}`;
    chain.push(below);
  }
  return chain;
}

/** Diff ids of the layers that an engine with those chain ids lacks, bottom first. */
export function missingLayers(layers: readonly string[], haveChainIds: Iterable<string>): string[] {
  const have = new Set(haveChainIds);
  const chain = chainIds(layers);
  return layers.filter((_, index) => !have.has(chain[index] ?? ''));
}
