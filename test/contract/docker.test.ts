/**
 * Docker's side of a move against real engines: a container with all that can be set is cloned to another host, and
 * both inspects are compared field by field but for the named list of differs.ts.
 */
import { writeFile } from 'node:fs/promises';
import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { poll } from '../../lab/poll.ts';
import { type CloneSpec, cloneSpec, RUNTIME } from '../../src/engines/docker/clone.ts';
import { differences } from '../../src/engines/docker/compare.ts';
import { type CreatedContainer, createCopy } from '../../src/engines/docker/create-copy.ts';
import { DIFFERS } from '../../src/engines/docker/differs.ts';
import { dockerHostFacts } from '../../src/engines/docker/host.ts';
import { planImage } from '../../src/engines/docker/image-plan.ts';
import { receiveImage, removeReceivedImage, sendImage } from '../../src/engines/docker/images.ts';
import { type DockerFacts, listDocker, surveyDocker } from '../../src/engines/docker/survey.ts';
import type { HostFacts } from '../../src/engines/facts.ts';
import { Docker } from '../../src/tools/docker.ts';

const FOREVER = ['sh', '-c', 'trap exit TERM; while :; do sleep 1; done'];

/** Arguments of `docker run` behind `--name`, image and command apart. */
const CONTAINERS: Record<string, { image?: string; command?: string[]; args: string[] }> = {
  // Everything on a user-defined network that can be said on a command line.
  everything: {
    args: [
      ...['--network', 'dc-fixed', '--ip', '172.31.77.200', '--network-alias', 'one', '--network-alias', 'two'],
      ...['--mac-address', '02:42:0a:00:00:07', '--hostname', 'host.name', '--domainname', 'dom.example'],
      ...['--env', 'A=1', '--env', 'IMAGE_ENV=overridden', '--label', 'com.example.a=b.c', '--label', 'empty='],
      ...['--user', '0:0', '--workdir', '/tmp', '--group-add', '12', '--expose', '99', '--expose', '7000-7002/udp'],
      ...[
        '--publish',
        '8080:80',
        '--publish',
        '127.0.0.1:8081:81/udp',
        '--publish',
        '82',
        '--publish',
        '9000-9001:9000-9001',
      ],
      ...['--publish', '127.0.0.1::83', '--publish', '9100-9110:84'],
      ...['--volume', 'dc-named:/named:ro', '--volume', '/anonymous', '--volume', '/srv/dc:/bind:ro'],
      ...['--mount', 'type=volume,src=dc-other,dst=/other,volume-nocopy', '--mount', 'type=volume,dst=/anonymous2'],
      ...[
        '--mount',
        'type=bind,src=/srv/dc/file,dst=/file',
        '--mount',
        'type=tmpfs,dst=/tmpfs,tmpfs-size=1000000,tmpfs-mode=1700',
      ],
      ...['--mount', 'type=bind,src=/srv/dc,dst=/bind2,readonly,bind-propagation=rslave'],
      ...['--tmpfs', '/tmpfs2:size=1m,mode=700', '--shm-size', '32m', '--read-only'],
      ...['--dns', '9.9.9.9', '--dns-search', 's.example', '--dns-option', 'ndots:2', '--add-host', 'h1:1.2.3.4'],
      ...['--memory', '200m', '--memory-swap', '300m', '--memory-reservation', '100m', '--memory-swappiness', '10'],
      ...[
        '--cpu-shares',
        '512',
        '--cpu-period',
        '50000',
        '--cpu-quota',
        '20000',
        '--cpuset-cpus',
        '0',
        '--cpuset-mems',
        '0',
      ],
      ...['--pids-limit', '50', '--oom-score-adj', '100', '--oom-kill-disable', '--cgroup-parent', '/dc-parent'],
      ...['--device', '/dev/null:/dev/xnull:rw', '--device-cgroup-rule', 'c 1:3 rwm'],
      ...['--cap-add', 'NET_ADMIN', '--cap-drop', 'MKNOD', '--security-opt', 'no-new-privileges'],
      ...['--security-opt', 'seccomp=unconfined', '--security-opt', 'systempaths=unconfined'],
      ...['--ulimit', 'nofile=1000:2000', '--ulimit', 'core=0', '--sysctl', 'net.ipv4.ip_unprivileged_port_start=10'],
      ...['--health-cmd', 'true', '--health-interval', '1h', '--health-retries', '4', '--health-start-period', '3s'],
      ...['--log-driver', 'json-file', '--log-opt', 'max-size=1m', '--log-opt', 'max-file=2', '--init'],
      ...[
        '--stop-signal',
        'SIGUSR1',
        '--stop-timeout',
        '7',
        '--annotation',
        'org.example.a=1',
        '--restart',
        'on-failure:3',
      ],
      ...['--ipc', 'shareable', '--cgroupns', 'private', '--interactive', '--link', 'dc-peer:peer'],
    ],
  },
  // The default bridge, -P, legacy links, a terminal, and all that an image brings along.
  bridge: {
    image: 'dc-image',
    args: [
      '--publish-all',
      '--tty',
      '--link',
      'dc-peer:peer',
      '--restart',
      'unless-stopped',
      '--privileged',
      '--memory',
      '64m',
    ],
  },
  // Clears what the image brings, and is deleted when it ends.
  cleared: {
    image: 'dc-image',
    args: [
      '--rm',
      '--entrypoint',
      '',
      '--no-healthcheck',
      '--publish',
      '0.0.0.0:8085:80',
      '--cpus',
      '0.5',
      '--log-driver',
      'none',
    ],
  },
  // Shares the host's namespaces.
  host: { args: ['--network', 'host', '--pid', 'host', '--ipc', 'host', '--uts', 'host', '--restart', 'always'] },
  // Addresses that the engine chose, on two networks, one of them with IPv6.
  chosen: {
    args: [
      '--network',
      'dc-chosen',
      '--network-alias',
      'x',
      '--volume',
      '/srv/dc:/from-chosen:rslave',
      '--volume',
      '/anonymous3',
    ],
  },
  // No network, and the volumes of another container.
  volumes: { args: ['--network', 'none', '--volumes-from', 'dc-peer:ro', '--volumes-from', 'dc-chosen'] },
};

describe.each([
  [26, 26],
  [28, 28],
  [26, 28],
  [28, 26],
] as const)('from Docker %i to Docker %i', (from, to) => {
  let labs: Lab[] = [];
  let a: LabHost;
  let b: LabHost;
  let source: Docker;
  let target: Docker;

  beforeAll(async () => {
    // The hosts need not reach one another: what crosses between them goes through this process.
    labs = [
      await Lab.up({ name: `from${from}-${process.pid}`, hosts: ['a'], docker: from, ephemeral: true }),
      await Lab.up({ name: `to${to}-${process.pid}`, hosts: ['b'], docker: to, ephemeral: true }),
    ];
    [a, b] = labs.flatMap(({ hosts }) => hosts) as [LabHost, LabHost];
    [source, target] = [new Docker({ socketPath: a.dockerSocket }), new Docker({ socketPath: b.dockerSocket })];
    await Promise.all([a, b].map(registerRuntime));
    await labs[0]?.image('counter');
    await a.run('mkdir', ['-p', '/srv/dc']);
    await writeFile(a.path('/srv/dc/file'), 'content\n');
    await b.run('mkdir', ['-p', '/srv/dc']);
    await writeFile(b.path('/srv/dc/file'), 'content\n');
    await makeImage(a);
    await docker(
      a,
      'network',
      'create',
      '--subnet',
      '172.31.77.0/24',
      '--ip-range',
      '172.31.77.128/25',
      ...[
        '--gateway',
        '172.31.77.1',
        '--label',
        'n=1',
        '--opt',
        'com.docker.network.bridge.enable_icc=false',
        'dc-fixed',
      ],
    );
    await docker(a, 'network', 'create', 'dc-chosen');
    await docker(
      a,
      'network',
      'create',
      '--internal',
      '--ipv6',
      '--subnet',
      'fd00:77::/64',
      '--attachable',
      'dc-chosen6',
    );
    await docker(a, 'volume', 'create', '--label', 'v=1', 'dc-named');
    for (const host of [a, b]) {
      if (host === b) await send(source, target, 'counter');
      await docker(
        host,
        'run',
        '--detach',
        '--name',
        'dc-peer',
        '--volume',
        '/peer',
        '--volume',
        'dc-peer-named:/peer2',
        'counter',
        ...FOREVER,
      );
    }
    for (const [name, { image = 'counter', command = image === 'counter' ? FOREVER : [], args }] of Object.entries(
      CONTAINERS,
    )) {
      await docker(
        a,
        'run',
        '--detach',
        '--pull=never',
        '--name',
        `dc-${name}`,
        ...args,
        image,
        ...(name === 'cleared' ? FOREVER : command),
      );
    }
    await docker(a, 'network', 'connect', '--alias', 'y', 'dc-chosen6', 'dc-chosen');
    await docker(
      a,
      'network',
      'connect',
      '--link',
      'dc-peer:p',
      '--driver-opt',
      'com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1',
      'dc-chosen6',
      'dc-everything',
    );
  });

  afterAll(async () => {
    await source?.[Symbol.asyncDispose]();
    await target?.[Symbol.asyncDispose]();
    for (const lab of labs) await lab.down();
  });

  test.each(Object.keys(CONTAINERS))('a copy of %s looks the same', async (name) => {
    const facts = await surveyDocker(source, `dc-${name}`, { root: a.path('') });
    const copy = await clone(facts, source, target);
    const inspect = await target.inspect(copy.id);
    expect(differences(facts.inspect, inspect, DIFFERS)).toEqual([]);
    expect(inspect.HostConfig.Runtime).toBe(RUNTIME);
    for (const [network, original] of Object.entries(facts.networks)) {
      // EnableIPv4 is known from Docker 28 on.
      const except = ['Id', 'Created', 'Containers', 'EnableIPv4'].map((path) => ({ path }));
      expect(differences(original, await target.inspectNetwork(network), except)).toEqual([]);
    }
    for (const [volume, original] of Object.entries(facts.volumes)) {
      const except = ['CreatedAt', 'Mountpoint'].map((path) => ({ path }));
      expect(differences(original, await target.inspectVolume(volume), except)).toEqual([]);
    }
  });

  test('a copy that comes back has the network it left, but not its fixed address there', async () => {
    const before = await surveyDocker(source, 'dc-chosen', { root: a.path('') });
    await source.remove(before.id, { force: true });
    const facts = await surveyDocker(target, 'dc-chosen', { root: b.path('') });
    const copy = await clone(facts, target, source);
    expect(copy.readdressed.sort()).toEqual(['dc-chosen', 'dc-chosen6']);
    const readdressed = ['IPAMConfig', 'IPAddress', 'GlobalIPv6Address', 'MacAddress'].map((field) => ({
      path: `NetworkSettings.Networks.*.${field}`,
    }));
    const inspect = await source.inspect(copy.id);
    expect(differences(facts.inspect, inspect, [...DIFFERS, ...readdressed, { path: 'Config.MacAddress' }])).toEqual(
      [],
    );
    expect(inspect.NetworkSettings.Networks['dc-chosen']?.IPAddress).toMatch(/^172\./);
  });

  test('survey tells what is there', async () => {
    const facts = await surveyDocker(source, 'dc-everything', { root: a.path('') });
    expect(facts).toMatchObject({
      ref: { engine: 'docker', name: 'dc-everything' },
      state: 'running',
      cgroupPath: `/sys/fs/cgroup/freezer/dc-parent/${facts.id}`,
      runtimeRoot: '/run/docker/runtime-runc/moby',
    });
    expect(facts.foreignRuntime).toBeUndefined();
    // The engine itself knows the container under that root.
    expect((await a.run('runc', ['--root', facts.runtimeRoot, 'state', facts.id])).stdout).toContain('"running"');
    expect((await a.run('cat', [`${facts.cgroupPath}/freezer.state`])).stdout).toBe('THAWED\n');
    const keys = facts.files.map(({ key }) => key.replace(/[0-9a-f]{64}/, 'anonymous')).sort();
    expect(keys).toEqual([
      'bind:/bind',
      'bind:/bind2',
      'bind:/file',
      'upper',
      'volume:anonymous',
      'volume:anonymous',
      'volume:dc-named',
      'volume:dc-other',
    ]);
    expect(facts.files.find(({ key }) => key === 'bind:/file')).toMatchObject({ path: '/srv/dc/file', entries: 1 });
    await expect(surveyDocker(source, 'dc-everythin')).rejects.toMatchObject({
      code: 'WORKLOAD_UNKNOWN',
      message: expect.stringContaining('dc-everything'),
    });
    await expect(surveyDocker(source, facts.id.slice(0, 8), { root: a.path('') })).resolves.toMatchObject({
      id: facts.id,
    });
    expect((await listDocker(source)).map(({ ref }) => ref.name)).toContain('dc-peer');
  });

  test('an image travels without the layers that are there, and no tag is moved', async () => {
    await docker(a, 'run', '--name', 'dc-layer', 'counter', 'dd', 'if=/dev/urandom', 'of=/random', 'bs=1M', 'count=8');
    await docker(a, 'commit', 'dc-layer', 'dc-layered:1');
    await docker(a, 'tag', 'dc-layered:1', 'dc-taken:1');
    await docker(b, 'tag', 'counter', 'dc-taken:1');
    const { bytes, plan } = await send(source, target, 'dc-layered:1');
    expect(plan).toMatchObject({ load: true, tags: ['dc-layered:1'] });
    // counter.tar's layers stay behind.
    expect(bytes).toBeGreaterThan(8 << 20);
    expect(bytes).toBeLessThan((8 << 20) + 100_000);
    expect((await docker(b, 'run', '--rm', 'dc-layered:1', 'stat', '-c', '%s', '/random')).stdout).toBe(`${8 << 20}\n`);
    expect((await target.inspectImage('dc-taken:1')).Id).not.toBe(plan.id);
    await removeReceivedImage(target, plan);
    await expect(target.inspectImage(plan.id)).rejects.toMatchObject({ code: 'DOCKER_NOT_FOUND' });
    // Nothing but manifests and configuration: all layers are known.
    await docker(a, 'commit', '--change', 'ENV x=1', 'dc-layer', 'dc-layered:2');
    await send(source, target, 'dc-layered:1');
    const again = await source.inspectImage('dc-layered:1');
    const image = { ...again, id: again.Id, layers: again.RootFS.Layers ?? [] };
    const reduced = new PassThrough();
    const chainIds = (await dockerHostFacts(target))?.layers ?? [];
    const [, { bytes: left }] = await Promise.all([
      receiveImage(target, reduced, { id: image.id, tags: [] }),
      sendImage(source, image, chainIds, reduced),
    ]);
    expect(left).toBeLessThan(30_000);
  });

  test('a load that ends early is an error, and leaves nothing', async () => {
    await docker(a, 'commit', '--change', 'ENV y=1', 'dc-peer', 'dc-cut:1');
    const { Id: id } = await source.inspectImage('dc-cut:1');
    const images = await target.images();
    const empty = new PassThrough();
    empty.end();
    await expect(receiveImage(target, empty, { id, tags: [] })).rejects.toMatchObject({ name: 'DrayageError' });
    const cut = new PassThrough();
    const received = receiveImage(target, cut, { id, tags: [] });
    const saved = await source.saveImage(id);
    saved.once('data', (chunk: Buffer) => {
      cut.write(chunk.subarray(0, 700));
      cut.destroy(new Error('link lost'));
      saved.destroy();
    });
    saved.on('error', () => {});
    await expect(received).rejects.toMatchObject({
      code: 'IMAGE_NOT_RECEIVED',
      message: expect.stringContaining('link lost'),
    });
    const other = new PassThrough();
    const wrong = receiveImage(target, other, { id: `sha256:${'0'.repeat(64)}`, tags: ['dc-cut:1'] });
    await Promise.all([
      expect(wrong).rejects.toMatchObject({ code: 'IMAGE_NOT_RECEIVED' }),
      sendImage(source, { id, layers: [] }, [], other),
    ]);
    expect(await target.images()).toEqual(images);
  });

  test('a send into a broken connection fails, and an abandoned one ends', async () => {
    const { Id: id } = await source.inspectImage('counter');
    const broken = new PassThrough();
    setTimeout(() => broken.destroy(new Error('link lost')), 50);
    await expect(sendImage(source, { id, layers: [] }, [], broken)).rejects.toThrow('link lost');
    const reason = new Error('given up');
    const stuck = sendImage(source, { id, layers: [] }, [], new PassThrough(), { signal: abortAfter(50, reason) });
    await expect(stuck).rejects.toThrow();
  });
});

async function clone(facts: DockerFacts, from: Docker, to: Docker): Promise<CreatedContainer> {
  const host = await hostFacts(to);
  const workload = { ...facts, processes: [], memoryBytes: 0 };
  const plan = planImage(facts.image, host);
  if (plan.load) await transfer(from, to, facts.image, host);
  const spec: CloneSpec = cloneSpec(workload, host, { carryBinds: false });
  for (const network of spec.networks) await to.createNetwork(network);
  for (const volume of spec.volumes) await to.createVolume(volume);
  const copy = await createCopy(to, `drayage-${facts.ref.name}`, spec);
  await to.rename(copy.id, facts.ref.name);
  await to.start(copy.id);
  await to.update(copy.id, { RestartPolicy: spec.restartPolicy });
  return copy;
}

async function send(from: Docker, to: Docker, reference: string) {
  const inspect = await from.inspectImage(reference);
  const image = {
    id: inspect.Id,
    reference,
    tags: inspect.RepoTags ?? [],
    layers: inspect.RootFS.Layers ?? [],
    bytes: inspect.Size,
  };
  return transfer(from, to, image, await hostFacts(to));
}

async function transfer(from: Docker, to: Docker, image: DockerFacts['image'], host: HostFacts) {
  const plan = planImage(image, host);
  const channel = new PassThrough();
  const [, { bytes }] = await Promise.all([
    receiveImage(to, channel, plan),
    sendImage(from, image, host.docker?.layers ?? [], channel),
  ]);
  return { bytes, plan };
}

async function hostFacts(docker: Docker): Promise<HostFacts> {
  return { docker: await dockerHostFacts(docker) } as HostFacts;
}

function abortAfter(ms: number, reason: Error): AbortSignal {
  const controller = new AbortController();
  setTimeout(() => controller.abort(reason), ms);
  return controller.signal;
}

function docker(host: LabHost, ...args: string[]) {
  return host.run('docker', args);
}

/** runc under the name of drayage's runtime: the copy is started anew, which is enough to be inspected. */
async function registerRuntime(host: LabHost): Promise<void> {
  const file = '/etc/docker/daemon.json';
  const config = JSON.parse((await host.run('cat', [file])).stdout) as object;
  await host.run('tee', [file], { input: JSON.stringify({ ...config, runtimes: { [RUNTIME]: { path: 'runc' } } }) });
  await host.run('kill', ['-HUP', (await host.run('cat', ['/run/docker.pid'])).stdout.trim()]);
  const daemon = new Docker({ socketPath: host.dockerSocket });
  const known = async () => (RUNTIME in (await daemon.info()).Runtimes ? true : undefined);
  expect(await poll(known, { timeoutMs: 5000 })).toBe(true);
  await daemon[Symbol.asyncDispose]();
}

/** An image that says everything an image can say, with a layer of its own. */
async function makeImage(host: LabHost): Promise<void> {
  await docker(
    host,
    'run',
    '--name',
    'dc-build',
    'counter',
    'sh',
    '-c',
    'mkdir -p /work /data2 && echo seed >/data2/seed',
  );
  const changes = [
    'ENTRYPOINT ["sh", "-c"]',
    'CMD ["trap exit TERM; while :; do sleep 1; done"]',
    'ENV IMAGE_ENV=1 PATH=/usr/bin:/bin',
    'EXPOSE 80 81/udp',
    'VOLUME /data2',
    'USER 0',
    'LABEL com.example.image=1',
    'WORKDIR /work',
    'STOPSIGNAL SIGINT',
    'HEALTHCHECK --interval=1h CMD true',
    'ONBUILD RUN true',
  ];
  await docker(host, 'commit', ...changes.flatMap((change) => ['--change', change]), 'dc-build', 'dc-image');
  await docker(host, 'rm', 'dc-build');
}
