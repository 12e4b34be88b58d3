/**
 * `./dev bench [SCENARIO...] [--runs N]`: moves containers between lab hosts, and beside each move measures the baseline
 * and the floor. Writes bench/results.json.
 */
import { parseArgs } from 'node:util';
import { ARCHIVES, measureArchive } from './archives.ts';
import { measureMoves } from './moves.ts';
import { measureProcesses, PROCESS_SCENARIOS } from './processes.ts';
import { type ArchiveEntry, archiveTable, type Entry, movesTable, save, webTable } from './results.ts';
import { SCENARIOS, WEB } from './scenarios.ts';
import { measureWeb } from './web.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: 'string', default: '10' } },
});
const runs = Number(values.runs);
if (!Number.isInteger(runs) || runs < 1) refuse(`--runs takes a number from 1 on, not ${values.runs}`);
const all = [...SCENARIOS, ...PROCESS_SCENARIOS, ...ARCHIVES, WEB];
const chosen = positionals.length === 0 ? all : positionals.map(scenarioNamed);
const progress = (line: string) => void process.stderr.write(`bench: ${line}\n`);

const withoutClients = SCENARIOS.filter((scenario) => chosen.includes(scenario));
const processes = PROCESS_SCENARIOS.filter((scenario) => chosen.includes(scenario));
const entries: Entry[] = withoutClients.length > 0 ? await measureMoves(withoutClients, runs, progress) : [];
if (processes.length > 0) entries.push(...(await measureProcesses(processes, runs, progress)));
if (entries.length > 0) await save(entries);
const archives: ArchiveEntry[] = [];
for (const archived of ARCHIVES.filter((each) => chosen.includes(each))) {
  const entry = await measureArchive(archived, runs, progress);
  await save([entry]);
  archives.push(entry);
}
const web = chosen.includes(WEB) ? await measureWeb(runs, progress) : undefined;
if (web !== undefined) await save([web]);
const moves = web === undefined ? entries : [...entries, web];
if (moves.length > 0) process.stdout.write(movesTable(moves));
for (const archive of archives) process.stdout.write(`\n${archiveTable(archive)}`);
if (web !== undefined) process.stdout.write(`\n${webTable(web)}`);

function scenarioNamed(name: string): (typeof all)[number] {
  return (
    all.find((each) => each.name === name) ??
    refuse(`no scenario ${name}; there are ${all.map((each) => each.name).join(', ')}`)
  );
}

function refuse(why: string): never {
  process.stderr.write(`bench: ${why}\n`);
  process.exit(2);
}
