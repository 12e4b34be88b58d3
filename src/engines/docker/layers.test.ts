import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chainIds, missingLayers } from './layers.ts';

const digest = fc
  .integer({ min: 0, max: 5 })
  .map((n) => `sha256:${createHash('sha256').update(String(n)).digest('hex')}`);
const image = fc.array(digest, { maxLength: 8 });

describe('chain ids', () => {
  test('are those of the specification', () => {
    // Recorded: an image of two layers, and the ids under image/overlay2/layerdb/sha256 of Docker 28.
    const layers = [
      'sha256:1288c26af497da61f0740dc06c731feb59e0c758506488ada99602e38b03419b',
      'sha256:07b6d4cae718d9640cc78de75476fead3539c53d1dfd532bdda02ed1ffbe2c73',
    ];
    expect(chainIds(layers)).toEqual([
      layers[0],
      'sha256:da51b9b69231e679ab0c8d7b493ba7a50257466bf7c8ddeeb9df5f5a6d4b72e9',
    ]);
  });

  test('of an image begin with those of any image below it', () => {
    fc.assert(
      fc.property(image, image, (below, above) => {
        expect(chainIds([...below, ...above]).slice(0, below.length)).toEqual(chainIds(below));
      }),
    );
  });

  test('differ where anything below differs', () => {
    fc.assert(
      fc.property(image, image, digest, (a, b, top) => {
        const [x, y] = [chainIds([...a, top]).at(-1), chainIds([...b, top]).at(-1)];
        expect(x === y).toBe(JSON.stringify(a) === JSON.stringify(b));
      }),
    );
  });
});

describe('missing layers', () => {
  test('are those above what both have', () => {
    fc.assert(
      fc.property(image, image, image, (shared, mine, theirs) => {
        fc.pre(mine[0] === undefined || mine[0] !== theirs[0]);
        expect(missingLayers([...shared, ...mine], chainIds([...shared, ...theirs]))).toEqual(mine);
      }),
    );
  });

  test('none of an image that is there, all of one where nothing is', () => {
    fc.assert(
      fc.property(image, (layers) => {
        expect(missingLayers(layers, chainIds(layers))).toEqual([]);
        expect(missingLayers(layers, [])).toEqual(layers);
      }),
    );
  });
});
