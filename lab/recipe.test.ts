import { expect, it } from 'vitest';
import { BASE_RECIPES, hashOf } from './recipe.ts';

it('changes with any part of the recipe, also of the one it starts from', () => {
  const recipe = BASE_RECIPES[28];
  const from = BASE_RECIPES[26];
  const changes = [
    recipe,
    { ...recipe, revision: 99 },
    { ...recipe, packages: ['more'] },
    { ...recipe, from: { ...from, revision: 99 } },
  ];
  expect(new Set(changes.map(hashOf)).size).toBe(changes.length);
});

it('is the same for equal recipes, and fit for a file name', () => {
  expect(hashOf(structuredClone(BASE_RECIPES[26]))).toBe(hashOf(BASE_RECIPES[26]));
  expect(hashOf(BASE_RECIPES[26])).toMatch(/^[0-9a-f]{12}$/);
});
