import { expect, test } from 'vitest';
import type { Run } from '../../exec/run.ts';
import { policyOf, restarterOf, serviceOf } from './restarter.ts';

const USERS = '/user.slice/user-1000.slice/user@1000.service';

test.each([
  ['0::/system.slice/web.service\n', 'web.service', undefined],
  ['0::/system.slice/web.service/workers\n', 'web.service', undefined],
  [
    '12:pids:/a.service\n1:name=systemd:/system.slice/system-web.slice/web@1.service\n0::/\n',
    'web@1.service',
    undefined,
  ],
  [`0::${USERS}/app.slice/web.service\n`, 'web.service', '1000'],
])('%j is of the service %s', (cgroups, unit, user) => {
  expect(serviceOf(cgroups)).toEqual({ unit, user });
});

test.each(['', '0::/\n', '0::/user.slice/user-0.slice/session-3.scope\n', `0::${USERS}/app.slice/vte-1.scope\n`])(
  '%j is of none',
  (cgroups) => {
    expect(serviceOf(cgroups)).toBeUndefined();
  },
);

test.each([
  ['always', 7, 'always'],
  ['on-failure', 8, 'on-failure'],
  ['on-abnormal', 0, 'on-abnormal'],
  ['on-abort', 7, 'on-abort'],
  ['no', 7, undefined],
  // What is killed has not ended well.
  ['on-success', 7, undefined],
  ['on-watchdog', 7, undefined],
  // Its main process stays: this is a child of it, a job of cron say.
  ['always', 5, undefined],
])('Restart=%s, MainPID=%i: %s', (restart, main, policy) => {
  expect(policyOf(`Restart=${restart}\nMainPID=${main}\n`, [7, 8])).toBe(policy);
});

test.each(['supervisord', 'runsv', 's6-supervise', 'PM2 v5.3.0: God'])('%s starts its children anew', async (name) => {
  const run: Run = () => Promise.reject(new Error('there is no systemctl'));
  const { signal } = new AbortController();
  const asked = { run, signal };
  expect(await restarterOf([process.pid], { ...asked, parent: { name } })).toEqual({ by: 'parent', name });
  expect(await restarterOf([process.pid], { ...asked, parent: { name: 'bash' } })).toBeUndefined();
});
