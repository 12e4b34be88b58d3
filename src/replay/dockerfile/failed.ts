/** Whether a command failed, as far as the screen shows it: no log has exit statuses. */
import { programOf, simpleCommands } from '../session/simple-commands.ts';
import type { TypedCommand } from '../session/typed-command.ts';

/** Said by shells of what they could not start, or not understand. */
const OF_SHELL =
  /^(?:-?(?:\/\S*\/)?(?:ba|da|a|z|k)?sh): .*(?:not found|No such file or directory|[Pp]ermission denied|[Ii]s a directory|[Nn]ot a directory|[Ss]yntax error|parse error|event not found|bad substitution|bad pattern|no matches found|can't (?:cd|open|create)|cannot (?:create|open)|unbound variable|ambiguous redirect|illegal option|invalid option|unmatched|no such (?:file|job|user))/;
/** Said of itself by any program, after its name. */
const OF_ITSELF =
  /(?:cannot |can't |could not |couldn't |unable to |failed|[Nn]o such|not found|[Pp]ermission denied|[Oo]peration not permitted|[Ii]s a directory|[Nn]ot a directory|[Nn]ot permitted|does not exist|already exists|[Ii]nvalid|[Uu]nrecogni[sz]ed|[Uu]nknown (?:option|user|group|host|command)|[Ii]llegal|missing (?:file )?operand|requires an? argument|[Bb]ad (?:address|option|usage)|must be |only root|authentication failure|error:|fatal:|\*\*\*|\(\d+\) )/;
/** Begins of lines with which known programs say that they gave up. */
const GAVE_UP =
  /^(?:E: (?!Sub-process)|E: Sub-process|fatal: |Traceback \(most recent call last\)|npm (?:ERR!|error) |ERROR: (?!pip's)|error: |Error: |make(?:\[\d+\])?: \*\*\* |Abort\.$|Aborted\.?$|Segmentation fault|Killed$|Terminated$|BusyBox v\S+ .*multi-call binary)/;
const USAGE = /^usage: /i;
const TRY = /^Try ['`"]?\S.* (?:--help|-h)['"`]? for more/;

/** The line that says so; undefined where it went well, or nothing tells. */
export function failureOf(command: TypedCommand, next?: TypedCommand): string | undefined {
  const status = statusAsked(next);
  if (status === 0) return undefined;
  if (status !== undefined) return `exit status ${status}`;
  const lines = command.output.all().map((line) => line.trim());
  const ofShell = lines.find((line) => OF_SHELL.test(line));
  if (ofShell !== undefined) return ofShell;
  const simple = simpleCommands(command.text);
  const names = new Set(simple.flatMap((one) => [programOf(one), ...one.words.slice(0, 2).map(({ raw }) => raw)]));
  const ofItself = lines.find((line) => {
    const name = /^(?:\/\S*\/)?([\w.+-]+): /.exec(line)?.[1];
    return name !== undefined && names.has(name) && OF_ITSELF.test(line);
  });
  if (ofItself !== undefined) return ofItself;
  const first = lines.find((line) => line !== '');
  if (first !== undefined && USAGE.test(first) && !/--?h(?:elp)?\b/.test(command.text)) return first;
  return lines.find((line) => TRY.test(line)) ?? lines.find((line) => GAVE_UP.test(line));
}

/** Whether a line may be the one that says so. */
export function mayTellFailure(line: string): boolean {
  const text = line.trim();
  return (
    [OF_SHELL, USAGE, TRY, GAVE_UP].some((form) => form.test(text)) || (text.includes(': ') && OF_ITSELF.test(text))
  );
}

/** `echo $?` right after it. */
function statusAsked(next: TypedCommand | undefined): number | undefined {
  if (next === undefined || !/^echo "?\$\?"?$/.test(next.text.trim())) return undefined;
  const status = Number(next.output.head[0]?.trim() ?? Number.NaN);
  return Number.isInteger(status) ? status : undefined;
}
