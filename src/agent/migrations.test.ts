import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DrayageError } from '../errors.ts';
import { scratch } from '../files/testing/rig.ts';
import type { MigrateOptions } from '../migration/events.ts';
import { Journal } from '../migration/journal.ts';
import { lastState } from '../migration/journal-records.ts';
import type { TargetPort } from '../migration/target-port.ts';
import { Migrations, type MigrationsOptions } from './migrations.ts';

const OPTIONS: MigrateOptions = {
  ...{ strategy: 'live', allowRestart: false, replaceFiles: false, handover: 'none' },
  ...{ remove: false, carryBinds: false, dropConnections: false, dryRun: false },
};
const ID = '20261121-140309-1f2e';

test('the source is not let go on while the target cannot end its copy; where it cannot be reached it is', async () => {
  using directory = scratch();
  const journal = await inDoubt(directory.path);
  const target = {
    resolve: () => Promise.reject(new Error('processes cannot be killed')),
    close: async () => {},
  } as Partial<TargetPort> as TargetPort;
  const options = { journalDir: directory.path, log: () => {} } as Partial<MigrationsOptions> as MigrationsOptions;

  const asked = new Migrations({ ...options, dialTarget: async () => target });
  await expect(asked.resolve(ID, 'source')).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  expect(lastState(await Journal.read(journal))).toBe('unknown');

  const away = () => Promise.reject(new DrayageError('HOST_UNREACHABLE', 'b does not answer.'));
  const alone = new Migrations({ ...options, dialTarget: away });
  expect(await alone.resolve(ID, 'source')).toMatchObject({ outcome: 'undone' });
});

/** Of a tree that is not there any more. @returns the path of its journal */
async function inDoubt(directory: string): Promise<string> {
  const journal = await Journal.create(directory, ID, 'source', {});
  const time = Date.now();
  journal.appendLazy({
    type: 'event',
    event: {
      type: 'started',
      time,
      id: ID,
      workload: 'process:7',
      source: 'a',
      target: 'root@b',
      options: OPTIONS,
    },
  });
  const data = {
    ...{ containerId: '7-1', name: '7', restartPolicy: { Name: 'no' }, volumes: [], homes: {} },
    ...{ cgroupPath: join(directory, 'cgroup'), stage: join(directory, 'stage') },
  };
  await journal.append({ type: 'state', state: 'started', data });
  await journal.append({ type: 'state', state: 'unknown' });
  await journal.close();
  return journal.path;
}
