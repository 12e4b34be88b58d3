/**
 * The floor: dump and restore of a container on one host through the same runtime, nothing copied. Runs inside a lab
 * host; prints one line of JSON. Usage: node floor.mjs CONTAINER
 */
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cloneSpec } from '../src/engines/docker/clone.ts';
import { dockerHostFacts } from '../src/engines/docker/host.ts';
import { HELD_INVENTORY, INVENTORY, Rendezvous, removeRendezvous } from '../src/engines/docker/rendezvous.ts';
import { surveyDocker } from '../src/engines/docker/survey.ts';
import type { HostFacts } from '../src/engines/facts.ts';
import { freeze, thaw } from '../src/engines/freezer.ts';
import { runner } from '../src/exec/run.ts';
import { placeTar } from '../src/tools/criu-tar.ts';
import { Docker } from '../src/tools/docker.ts';
import { checkpoint, externalDescriptors } from '../src/tools/runc.ts';
import { mountTmpfs, unmountTmpfs } from '../src/tools/tmpfs.ts';

const name = process.argv[2] as string;
const run = runner();
const docker = new Docker({});
const facts = { ...(await surveyDocker(docker, name)), processes: [], memoryBytes: 0 };
const host = { docker: await dockerHostFacts(docker) } as unknown as HostFacts;
const spec = cloneSpec(facts, host, { carryBinds: false });
const { id } = await docker.create(`${name}-floor`, spec.createBody);
const stage = `/run/drayage/stage/floor-${process.pid}`;
await mountTmpfs(run, stage, 4 << 30);
const imagesDir = join(stage, 'images');
await mkdir(imagesDir);
await mkdir(join(stage, 'work'));
await placeTar(join(stage, 'bin'));
await writeFile(join(stage, 'criu.conf'), 'network-lock skip\n');
const descriptors = await externalDescriptors(facts.runtimeRoot, facts.id);

const frozenAt = performance.now();
await freeze(facts.cgroupPath);
await checkpoint({
  run,
  root: facts.runtimeRoot,
  containerId: facts.id,
  imagesDir,
  workDir: join(stage, 'work'),
  criuConfig: join(stage, 'criu.conf'),
  binDir: join(stage, 'bin'),
});
const dumpMs = performance.now() - frozenAt;

// Not counted: the original gives its ports and files to the copy.
await docker.kill(facts.id).catch(() => {});
thaw(facts.cgroupPath);
await docker.wait(facts.id);
const { GraphDriver } = await docker.inspect(id);
const upper = facts.files.find((tree) => tree.key === 'upper')?.path;
await run('rsync', ['-aHAXS', '--numeric-ids', `${upper}/`, `${GraphDriver?.Data?.UpperDir}/`]);
await rename(join(imagesDir, INVENTORY), join(imagesDir, HELD_INVENTORY));
await writeFile(join(imagesDir, 'descriptors.json'), JSON.stringify(descriptors));
const rendezvous = await Rendezvous.open({
  containerId: id,
  imagesDir,
  criuPath: '/usr/sbin/criu',
  criuOptions: [],
  run,
});
rendezvous.giveImages();
rendezvous.giveCommit();

const startedAt = performance.now();
const started = docker.start(id);
if (!(await rendezvous.until('resumed'))) throw new Error(await rendezvous.log());
const restoreMs = performance.now() - startedAt;

await started;
await rendezvous.until('ended').catch(() => {}); // Until then CRIU works in there.
rendezvous.close();
await removeRendezvous(run, id);
await unmountTmpfs(run, stage);
await docker.remove(id, { force: true, volumes: true });
await docker.remove(facts.id, { force: true, volumes: true });
await rm(stage, { recursive: true, force: true });
await docker[Symbol.asyncDispose]();
process.stdout.write(`${JSON.stringify({ dumpMs, restoreMs })}\n`);
