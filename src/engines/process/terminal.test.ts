import { expect, test } from 'vitest';
import { outerTerminals } from './terminal.ts';

const SLAVE = { path: '/dev/pts/3', rdev: 0x8803, dev: 0x19 };
const MASTER = { path: '/dev/ptmx', rdev: 0x502, dev: 0x19 };

test('a terminal whose keeper is elsewhere comes from outside, and bears the name that CRIU has for it', () => {
  const members = [{ pid: 7, session: 5, terminal: 0x8803 }];
  expect(outerTerminals([SLAVE, SLAVE], members)).toEqual([{ path: '/dev/pts/3', id: 'tty[8803:19]', isLed: false }]);
});

test('its session may be led from within', () => {
  const members = [{ pid: 7, session: 7, terminal: 0x8803 }];
  expect(outerTerminals([SLAVE], members)[0]?.isLed).toBe(true);
  expect(outerTerminals([SLAVE], [{ pid: 7, session: 7, terminal: 0 }])[0]?.isLed).toBe(false);
});

test('a terminal of the tree itself is none from outside', () => {
  expect(outerTerminals([SLAVE, { ...MASTER, masterOf: 3 }], [])).toEqual([]);
  expect(outerTerminals([SLAVE, { ...MASTER, masterOf: 4 }], [])).toHaveLength(1);
});
