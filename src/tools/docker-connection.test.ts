import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Docker } from './docker.ts';
import { compareApi } from './docker-connection.ts';

let directory: string;
let server: Server;
let docker: Docker;
let recorded: string[];
const requests: string[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'docker-'));
  recorded = [];
  docker = new Docker({ socketPath: join(directory, 'sock'), record: (what) => recorded.push(what) });
});
afterEach(async () => {
  await docker[Symbol.asyncDispose]();
  server?.closeAllConnections();
  server?.close();
  await rm(directory, { recursive: true });
  requests.length = 0;
});

/** A daemon that speaks `api` and answers the rest by `answer`. */
function daemon(answer: RequestListener, api = '1.45'): Promise<void> {
  server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    if (request.url === '/version') response.end(JSON.stringify({ Version: 'x', ApiVersion: api }));
    else answer(request, response);
  });
  return new Promise((resolve) => server.listen(join(directory, 'sock'), resolve));
}

describe('the version of the API', () => {
  test.each([
    ['1.43', '1.43'],
    ['1.45', '1.45'],
    ['1.60', '1.51'],
  ])('of an engine with %s is %s, negotiated once', async (api, used) => {
    await daemon((_, response) => response.end('[]'), api);
    await Promise.all([docker.containers(), docker.networks()]);
    await docker.containers();
    expect(requests.filter((request) => request === 'GET /version')).toHaveLength(1);
    expect(requests.at(-1)).toBe(`GET /v${used}/containers/json?all=1`);
  });

  test('of an old engine is an error', async () => {
    await daemon((_, response) => response.end('[]'), '1.42');
    await expect(docker.containers()).rejects.toMatchObject({ code: 'DOCKER_TOO_OLD' });
  });

  test('is negotiated again after a failure', async () => {
    await expect(docker.containers()).rejects.toMatchObject({ code: 'DOCKER_UNREACHABLE' });
    await daemon((_, response) => response.end('[]'));
    await expect(docker.containers()).resolves.toEqual([]);
  });

  test('compares by number', () => {
    expect(['1.51', '1.9', '2.0', '1.43'].sort(compareApi)).toEqual(['1.9', '1.43', '1.51', '2.0']);
  });
});

describe('errors', () => {
  test.each([
    [404, { message: 'No such container: x' }, 'DOCKER_NOT_FOUND', 'docker inspect: No such container: x'],
    [409, { message: 'in use\n' }, 'DOCKER_REFUSED', 'docker inspect: in use'],
    [500, undefined, 'DOCKER_REFUSED', 'docker inspect: HTTP status 500'],
  ])('status %i', async (status, body, code, message) => {
    await daemon((_, response) => response.writeHead(status).end(body && JSON.stringify(body)));
    await expect(docker.inspect('x')).rejects.toMatchObject({ code, message });
  });

  test('a daemon that dies in the middle', async () => {
    await daemon((request) => request.socket.destroy());
    await expect(docker.inspect('x')).rejects.toMatchObject({ code: 'DOCKER_UNREACHABLE' });
  });

  test('inside the progress of a load', async () => {
    await daemon((request, response) => {
      request
        .resume()
        .on('end', () => response.end('{"stream":"Loading"}\n{"errorDetail":{"message":"bad"},"error":"bad"}\n'));
    });
    await expect(docker.loadImage(Readable.from(['tar']))).rejects.toMatchObject({
      code: 'DOCKER_REFUSED',
      message: 'docker load: bad',
    });
  });
});

test('a start that takes its time can be given up, while other calls go on', async () => {
  await daemon((request, response) => {
    if (!request.url?.endsWith('/start')) response.end('[]');
  });
  const controller = new AbortController();
  const started = docker.start('x', { signal: controller.signal });
  await expect(docker.containers()).resolves.toEqual([]);
  controller.abort();
  await expect(started).rejects.toMatchObject({ name: 'AbortError' });
  expect(recorded).toEqual(['docker version', 'docker ps', 'docker start']);
});

test('names and bodies arrive as they are', async () => {
  const bodies: string[] = [];
  await daemon((request, response) => {
    text(request).then((body) => {
      bodies.push(body);
      response.writeHead(201).end('{"Id":"1","Warnings":null}');
    });
  });
  expect(await docker.create('a/b?c', { HostConfig: {} })).toEqual({ id: '1', warnings: [] });
  await docker.tagImage('sha256:1', 'localhost:5000/x:y');
  await docker.update('x', { RestartPolicy: { Name: 'always' } });
  expect(requests.slice(1)).toEqual([
    'POST /v1.45/containers/create?name=a%2Fb%3Fc',
    'POST /v1.45/images/sha256%3A1/tag?repo=localhost%3A5000%2Fx&tag=y',
    'POST /v1.45/containers/x/update',
  ]);
  expect(bodies).toEqual(['{"HostConfig":{}}', '', '{"RestartPolicy":{"Name":"always"}}']);
});
