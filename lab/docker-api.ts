/** The little of Docker's API that the lab itself needs, on a host's socket, without starting a program. */
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** Whether the engine answers. */
export async function pingDocker(socket: string): Promise<boolean> {
  try {
    await answerOf(request({ socketPath: socket, path: '/_ping', timeout: 2000 }).end());
    return true;
  } catch {
    return false;
  }
}

/**
 * Makes an image of a tree given as a tar archive.
 * @param changes Dockerfile instructions such as `CMD ["sh"]`.
 */
export async function importImage(
  socket: string,
  { reference, archive, changes }: { reference: string; archive: Readable; changes: readonly string[] },
): Promise<void> {
  const [repo = '', tag = 'latest'] = reference.split(':');
  const query = new URLSearchParams({ fromSrc: '-', repo, tag });
  for (const change of changes) query.append('changes', change);
  const call = request({ socketPath: socket, method: 'POST', path: `/images/create?${query}` });
  call.setHeader('Content-Type', 'application/x-tar');
  const [text] = await Promise.all([answerOf(call), pipeline(archive, call)]);
  // What fails after the first byte of the answer is told in its body, under a status of success.
  const failure = /"error":"((?:[^"\\]|\\.)*)"/.exec(text);
  if (failure !== null) throw new Error(`docker import: ${failure[1]}`);
}

async function answerOf(call: ClientRequest): Promise<string> {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    call.once('response', resolve);
    call.once('error', reject);
    call.once('timeout', () => call.destroy(new Error('Docker does not answer')));
  });
  let text = '';
  for await (const chunk of answer.setEncoding('utf8')) text += chunk;
  if (answer.statusCode !== 200) throw new Error(`Docker answered ${answer.statusCode}: ${text.trim()}`);
  return text;
}
