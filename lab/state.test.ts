import { describe, expect, it } from 'vitest';
import { thisProcess } from './process.ts';
import { isAbandoned, isWhole, type LabState } from './state.ts';

const gone = { pid: process.pid, startedAt: '1' };
const up: LabState = {
  name: 'lab',
  k: 7,
  phase: 'up',
  owner: gone,
  ephemeral: false,
  docker: 26,
  agent: false,
  layers: [],
  switch: thisProcess(),
  hosts: [{ name: 'a', n: 1, address: '10.77.7.1', init: thisProcess() }],
};

describe('isAbandoned', () => {
  it('leaves a lab that is up to outlive the command that made it', () => {
    expect(isAbandoned(up)).toBe(false);
  });

  it('is true of what nobody will finish, and of what was for a process that is gone', () => {
    expect(isAbandoned({ ...up, phase: 'starting' })).toBe(true);
    expect(isAbandoned({ ...up, ephemeral: true })).toBe(true);
    expect(isAbandoned({ ...up, ephemeral: true, phase: 'starting', owner: thisProcess() })).toBe(false);
  });
});

describe('isWhole', () => {
  it('needs the switch and every host', () => {
    expect(isWhole(up)).toBe(true);
    expect(isWhole({ ...up, switch: gone })).toBe(false);
    expect(isWhole({ ...up, hosts: [...up.hosts, { name: 'b', n: 2, address: '10.77.7.2' }] })).toBe(false);
  });
});
