/** The little of Docker's API that the lab itself needs, on a host's socket, without starting a program. */
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import type { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
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
  const said = await answerOf(call);
  // What fails after the first byte of the answer is told in its body, under a status of success.
  const failure = /"error":"((?:[^"\\]|\\.)*)"/.exec(said);
  if (failure !== null) throw new Error(`docker load: ${failure[1]}`);
}

/** All that a container wrote so far; with a terminal there is one stream only. */
export async function containerLog(socket: string, name: string): Promise<{ stdout: string; stderr: string }> {
  const path = `/containers/${encodeURIComponent(name)}/logs?stdout=1&stderr=1`;
  const answer = await begunAnswer(request({ socketPath: socket, path, agent: false }).end());
  const bytes = await buffer(answer);
  if (answer.headers['content-type'] !== 'application/vnd.docker.multiplexed-stream')
    return { stdout: bytes.toString(), stderr: '' };
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  // Docker's frames: the stream's number, three zeros, the length, and so many bytes.
  for (let at = 0; at + 8 <= bytes.length; ) {
    const end = at + 8 + bytes.readUInt32BE(at + 4);
    (bytes[at] === 2 ? err : out).push(bytes.subarray(at + 8, end));
    at = end;
  }
  return { stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() };
}

async function answerOf(call: ClientRequest): Promise<string> {
  return text(await begunAnswer(call));
}

/** @throws where its status is another than that of success */
async function begunAnswer(call: ClientRequest): Promise<IncomingMessage> {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    call.once('response', resolve);
    call.once('error', reject);
    call.once('timeout', () => call.destroy(new Error('Docker does not answer')));
  });
  if (answer.statusCode !== 200)
    throw new Error(`Docker answered ${answer.statusCode}: ${(await text(answer)).trim()}`);
  return answer;
}
