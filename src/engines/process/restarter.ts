/** Who starts a process anew when it has been killed: it would run twice, here and where it was moved to. */
import { readFile } from 'node:fs/promises';
import type { Run } from '../../exec/run.ts';
import type { Candidate } from './tree.ts';

export type Restarter =
  /** `user`: its number, where it is of that one's own systemd. `policy` as in systemd.service(5): `on-failure` */
  { by: 'systemd'; unit: string; user?: string; policy: string } | { by: 'parent'; name: string };

const ASK_MS = 5000;
/** systemd.service(5), Restart=: the settings by which a process that was killed by a signal is started anew. */
const AFTER_KILL = ['always', 'on-failure', 'on-abnormal', 'on-abort'];
/** Programs that start their children anew, as the kernel has their names. */
const SUPERVISORS = /^(supervisord|supervise|runsv|s6-supervise|perpd|monit|circusd|dinit|god|PM2 .*)$/;

/** Of the tree of these pids. Undefined where none is known; a shell that does so in a loop is not told from any other. */
export async function restarterOf(
  tree: readonly number[],
  { parent, run, signal }: { parent: Pick<Candidate, 'name'> | undefined; run: Run; signal: AbortSignal },
): Promise<Restarter | undefined> {
  const service = serviceOf(await readFile(`/proc/${tree[0]}/cgroup`, 'utf8').catch(() => ''));
  if (service !== undefined) {
    const { unit, user } = service;
    const manager = user === undefined ? [] : ['--user', `--machine=${user}@.host`];
    const args = [...manager, 'show', '--property=Restart,MainPID', '--', unit];
    // Without systemctl no systemd is there.
    const shown = await run('systemctl', args, { signal, timeoutMs: ASK_MS }).catch(() => undefined);
    const policy = policyOf(shown?.stdout ?? '', tree);
    if (policy !== undefined) return { by: 'systemd', ...service, policy };
  }
  return parent !== undefined && SUPERVISORS.test(parent.name) ? { by: 'parent', name: parent.name } : undefined;
}

/** Pure: the service of a `/proc/P/cgroup`. */
export function serviceOf(cgroups: string): { unit: string; user?: string } | undefined {
  const path = /^(?:\d+:name=systemd|0:):(\/.*)$/m.exec(cgroups)?.[1] ?? '';
  // Below a service there may be cgroups that it makes itself.
  const unit = path.split('/').findLast((name) => /\.(service|scope)$/.test(name));
  if (unit === undefined || !unit.endsWith('.service')) return undefined;
  const user = /\/user@(\d+)\.service\/.*\.service/.exec(path)?.[1];
  return { unit, ...(user !== undefined && { user }) };
}

/**
 * Pure: by which setting the service starts the tree anew. Undefined where it does not: while its main process stays, or
 * the last one where it has none, the service runs on.
 * @param shown `Restart=always`, `MainPID=4711`, a line each
 */
export function policyOf(shown: string, tree: readonly number[]): string | undefined {
  const property = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(shown)?.[1] ?? '';
  const [policy, main] = [property('Restart'), Number(property('MainPID'))];
  return AFTER_KILL.includes(policy) && (main === 0 || tree.includes(main)) ? policy : undefined;
}
