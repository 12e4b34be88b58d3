import { describe, expect, it } from 'vitest';
import { allocateLab, hostAddress, takenIn } from './address.ts';

describe('allocateLab', () => {
  it('gives a name the same number each time', () => {
    expect(allocateLab('lab', new Set())).toBe(allocateLab('lab', new Set()));
  });

  it('passes over numbers that are taken, wrapping round', () => {
    const wish = allocateLab('lab', new Set());
    expect(allocateLab('lab', new Set([wish]))).toBe(wish === 254 ? 1 : wish + 1);
    const all = new Set(Array.from({ length: 254 }, (_, i) => i + 1));
    all.delete(3);
    expect(allocateLab('lab', all)).toBe(3);
  });

  it('never gives 0, and fails when all are taken', () => {
    for (let i = 0; i < 500; i++) expect(allocateLab(`lab${i}`, new Set())).toBeGreaterThan(0);
    const all = new Set(Array.from({ length: 254 }, (_, i) => i + 1));
    expect(() => allocateLab('lab', all)).toThrow(expect.objectContaining({ code: 'LAB_BUSY' }));
  });
});

it('finds the lab networks that a machine has already', () => {
  expect(takenIn('inet 10.77.0.254/24 scope global br-lab\n10.77.91.0/24 dev x\ninet 110.77.5.1/8')).toEqual(
    new Set([0, 91]),
  );
});

it('numbers hosts from 1 to 253', () => {
  expect(hostAddress(7, 253)).toBe('10.77.7.253');
  expect(() => hostAddress(7, 254)).toThrow(RangeError);
});
