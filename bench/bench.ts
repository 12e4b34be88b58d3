/**
 * `./dev bench [SCENARIO...] [--runs N]`: moves containers between lab hosts, and beside each move measures the baseline
 * and the floor. Writes bench/results.json.
 */
import { parseArgs } from 'node:util';
import { measureMoves } from './moves.ts';
import { type Entry, movesTable, save, webTable } from './results.ts';
import { SCENARIOS, type Scenario, WEB } from './scenarios.ts';
import { measureWeb } from './web.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: 'string', default: '10' } },
});
const runs = Number(values.runs);
if (!Number.isInteger(runs) || runs < 1) refuse(`--runs takes a number from 1 on, not ${values.runs}`);
const chosen = positionals.length === 0 ? [...SCENARIOS, WEB] : positionals.map(scenarioNamed);
const progress = (line: string) => void process.stderr.write(`bench: ${line}\n`);

const withoutClients = chosen.filter((scenario) => scenario !== WEB);
const entries: Entry[] = withoutClients.length > 0 ? await measureMoves(withoutClients, runs, progress) : [];
if (entries.length > 0) await save(entries);
const web = chosen.includes(WEB) ? await measureWeb(runs, progress) : undefined;
if (web !== undefined) await save([web]);
process.stdout.write(movesTable(web === undefined ? entries : [...entries, web]));
if (web !== undefined) process.stdout.write(`\n${webTable(web)}`);

function scenarioNamed(name: string): Scenario {
  const all = [...SCENARIOS, WEB];
  return (
    all.find((each) => each.name === name) ??
    refuse(`no scenario ${name}; there are ${all.map((each) => each.name).join(', ')}`)
  );
}

function refuse(why: string): never {
  process.stderr.write(`bench: ${why}\n`);
  process.exit(2);
}
