import type { Command } from 'commander';
import { declare, jsonOption } from './command.ts';
import { type Cli, writeJson } from './context.ts';
import {
  caveats,
  duration,
  liveLine,
  liveText,
  type MeasureFlags,
  reach,
  withMeasureOptions,
  writeReport,
} from './measured.ts';

interface Flags extends MeasureFlags {
  duration?: number;
}

export function probeCommand(cli: Cli): Command {
  const command = declare('probe', {
    summary: 'watch a server as its clients see it',
    description: `Sends new requests at a fixed rate and keeps connections open with numbered messages, and tells what clients saw: failed requests, broken connections, lost and repeated messages, latency, the longest gap. Nothing is moved: so a move by any other tool can be measured, too.

Latency counts from when a request was to be sent, so nobody is left out who would have come during a stall. Ctrl-C ends it with the summary; once more, without waiting for answers that are still due.`,
    examples: [
      ['drayage probe --url http://hosta:8080/', 'until Ctrl-C'],
      ['drayage probe --url http://hosta:8080/ --duration 30s -o report.html', 'with a picture of it'],
      ['drayage probe --tcp hosta:7007 --connections 100', 'connections to an echo server only'],
      ['drayage probe --url http://hosta:8080/ --duration 10s --json', 'for programs: one line'],
    ],
  });
  return withMeasureOptions(command)
    .option('--duration <time>', 'end after this long, like 30s or 2m', duration)
    .addOption(jsonOption('the summary as JSON'))
    .action((flags: Flags) => probe(cli, flags));
}

async function probe(cli: Cli, flags: Flags): Promise<void> {
  const targets = await reach(flags);
  const [{ measure }, { summarise }] = await Promise.all([
    import('../measure/measure.ts'),
    import('../measure/summarise.ts'),
  ]);
  const [end, cut] = [new AbortController(), new AbortController()];
  using _ = cli.onInterrupt(() => (end.signal.aborted ? cut : end).abort());
  const timer = flags.duration === undefined ? undefined : setTimeout(() => end.abort(), flags.duration);
  const measurement = measure(targets, new AbortController().signal);
  let recording: typeof measurement.recording;
  {
    const waiting = () => (end.signal.aborted ? 'waiting for the last answers · ' : '');
    using line = liveLine(cli, () => `${waiting()}${liveText(measurement)}`);
    for (const caveat of caveats(targets)) line.say(caveat);
    await aborted(end.signal);
    clearTimeout(timer);
    recording = await measurement.finish(cut.signal);
  }
  const summary = summarise(recording);
  if (flags.json) writeJson(cli.out, { type: 'probe', ...summary });
  else {
    const { renderProbe } = await import('./report/figures.ts');
    cli.out.write(renderProbe(summary, cli.out.look()));
  }
  if (flags.output !== undefined) {
    await writeReport(flags.output, flags.url ?? flags.tcp ?? '', summary, recording.samples);
    if (!flags.json) cli.out.write(`report: ${flags.output}\n`);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
