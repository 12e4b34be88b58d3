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

/** Gives the engine the image in an archive, as `docker load` does; no work where it has it already. */
export async function loadImage(socket: string, archive: Readable): Promise<void> {
  // Not by the agent of all requests, which gives up after five seconds of silence: an engine may unpack for longer.
  const call = request({ socketPath: socket, method: 'POST', path: '/images/load?quiet=1', agent: false });
  call.setHeader('Content-Type', 'application/x-tar');
  // The answer counts: the engine may give it, and hang up, before it has taken the padding behind the archive's end.
  // Whatever else ends the sending ends the call, and with it the wait for its answer.
  pipeline(archive, call).catch(() => {});
  const text = await answerOf(call);
  // What fails after the first byte of the answer is told in its body, under a status of success.
  const failure = /"error":"((?:[^"\\]|\\.)*)"/.exec(text);
  if (failure !== null) throw new Error(`docker load: ${failure[1]}`);
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
