import { Readable } from 'node:stream';
import { type Header, pack } from 'tar-stream';
import { expect, test } from 'vitest';
import { DrayageError } from '../errors.ts';
import type { Docker } from '../tools/docker.ts';
import type { Change } from '../tools/docker-types.ts';
import { captureEdited, smallFile } from './captured-files.ts';
import type { Step } from './dockerfile/steps.ts';

type Entry = Partial<Header> & { text?: string };

/** A container of which only archives are asked. */
function container(files: Record<string, Entry>): Docker {
  const archive = async (_: string, path: string): Promise<Readable> => {
    const { text = '', ...header } = files[path] ?? {};
    if (files[path] === undefined) throw new DrayageError('DOCKER_NOT_FOUND', path);
    const tar = pack();
    tar.entry({ name: 'x', ...header }, text);
    tar.finalize();
    return Readable.from(tar as AsyncIterable<Buffer>, { objectMode: false });
  };
  return { archive } as unknown as Docker;
}

const edited = (path: string): Step => ({ type: 'edited', path, command: `vi ${path}`, directory: '/', user: 'root' });
const changes = (...paths: string[]): Change[] => paths.map((Path) => ({ Path, Kind: 0 }));

test('the file as it is, with its owner and mode; what nobody changed and what is gone', async () => {
  const docker = container({ '/etc/a': { text: 'new', mode: 0o600, uid: 5, gid: 6 }, '/etc/b': { text: 'old' } });
  const { captured } = await captureEdited(
    docker,
    'id',
    [edited('/etc/a'), edited('/etc/b'), edited('/etc/c')],
    changes('/etc/a'),
    undefined,
  );
  expect(captured.get('/etc/a')).toEqual({ content: Buffer.from('new'), mode: 0o600, uid: 5, gid: 6 });
  expect(captured.get('/etc/b')).toBe('unchanged');
  expect(captured.get('/etc/c')).toBe('absent');
});

test('links are followed, also where a directory on the way is one', async () => {
  const docker = container({
    '/etc/link': { type: 'symlink', linkname: '../srv/real' },
    '/srv/real': { text: 'x' },
    '/srv/current/app.conf': { text: 'y' },
    '/loop': { type: 'symlink', linkname: 'loop' },
  });
  const { steps, captured } = await captureEdited(
    docker,
    'id',
    [edited('/etc/link'), edited('/srv/current/app.conf'), edited('/loop')],
    changes('/srv/real', '/srv/2/app.conf', '/loop'),
    undefined,
  );
  expect(steps.map((step) => ('path' in step ? step.path : ''))).toEqual([
    '/srv/real',
    '/srv/current/app.conf',
    '/loop',
  ]);
  expect(captured.get('/srv/real')).toMatchObject({ content: Buffer.from('x') });
  expect(captured.get('/srv/current/app.conf')).toMatchObject({ content: Buffer.from('y') });
  expect(captured.get('/loop')).toBe('absent');
});

test('what is too large for a message is told, and a directory is no file', async () => {
  const large = 'x'.repeat((2 << 20) + 1);
  const docker = container({ '/a': { text: large }, '/d': { type: 'directory' }, '/b': { text: 'x'.repeat(2 << 20) } });
  const { captured } = await captureEdited(docker, 'id', [edited('/a'), edited('/d')], changes('/a', '/d'), undefined);
  expect([...captured.values()]).toEqual(['large', 'absent']);
  expect((await smallFile(docker, 'id', '/b', undefined))?.content.length).toBe(2 << 20);
});
