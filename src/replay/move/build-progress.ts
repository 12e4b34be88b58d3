/** What the engine's classic builder says while it builds, as what a replay tells of it. */
import { StringDecoder } from 'node:string_decoder';
import type { BuildLine } from './target-port.ts';

const KEPT = 15;

/** The image that a step has made, or the container that it runs in, by the begin of its id: only the target counts them. */
export type StepThing = { type: 'made'; id: string } | { type: 'runs'; id: string };

/** The lines of a build; the last is `failed` or `built`. */
export async function* buildLines(answer: AsyncIterable<Buffer>): AsyncGenerator<BuildLine | StepThing> {
  let image = '';
  let step = '';
  const output: string[] = [];
  for await (const { stream, aux, error } of objects(answer)) {
    if (error !== undefined) {
      yield { type: 'failed', step, message: error, output };
      return;
    }
    image = aux?.ID ?? image;
    for (const line of (stream ?? '').split('\n')) {
      const [, runs, thing] = /^ ---> (Running in )?([0-9a-f]{12})$/.exec(line) ?? [];
      if (thing !== undefined) yield { type: runs === undefined ? 'made' : 'runs', id: thing };
      const match = /^Step (\d+)\/(\d+) : (.*)$/.exec(line);
      if (match !== null) {
        step = match[3] ?? '';
        output.length = 0;
        yield { type: 'step', number: Number(match[1]), of: Number(match[2]), text: step.slice(0, 200) };
      } else if (line.trim() !== '' && !/^ ---> |^(?:Removing|Removed) intermediate container/.test(line)) {
        output.push(line.slice(0, 300));
        if (output.length > KEPT) output.shift();
      }
    }
  }
  if (image === '') yield { type: 'failed', step, message: 'the builder made no image', output };
  else yield { type: 'built', image };
}

interface Progress {
  stream?: string;
  aux?: { ID?: string };
  error?: string;
}

async function* objects(answer: AsyncIterable<Buffer>): AsyncGenerator<Progress> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of answer) {
    const lines = (rest + decoder.write(chunk)).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') yield JSON.parse(line) as Progress;
  }
  if (rest.trim() !== '') yield JSON.parse(rest) as Progress;
}
