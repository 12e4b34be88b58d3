/** What the user should know of a Dockerfile that was made from a session. */
import type { Finding } from '../../migration/finding.ts';

export function secretKeptOut(command: string): Finding {
  return {
    code: 'REPLAY_SECRET',
    severity: 'costs',
    message: `A secret was typed: ${command}`,
    meaning: 'The command is a comment without the secret: what is in a Dockerfile or an image can be read by anyone.',
    remedy:
      'Give the secret when the container runs, or as a build secret; and change it, since it is in the log, too.',
  };
}

export function secretInFile(path: string): Finding {
  return {
    code: 'REPLAY_SECRET',
    severity: 'costs',
    message: `There is a secret in ${path}.`,
    meaning: 'The file was left out.',
    remedy: 'Mount it when the container runs.',
  };
}

export function lostFile(what: string): Finding {
  return {
    code: 'REPLAY_FILE_LOST',
    severity: 'costs',
    message: `What was edited is not in the log: ${what}`,
    meaning: 'The Dockerfile has a comment in its place.',
    remedy: 'Copy the file out of the container, or let drayage do it: drayage replay docker:NAME --to HOST.',
  };
}

/** How many are named in one finding. */
const NAMED = 20;

export function unexplainedChanges(paths: readonly string[]): Finding {
  const named = paths.slice(0, NAMED).join(', ');
  const more = paths.length > NAMED ? `, and ${paths.length - NAMED} more` : '';
  return {
    code: 'REPLAY_UNEXPLAINED',
    severity: 'note',
    message: `No command seems to have made these changes: ${named}${more}`,
    meaning:
      'Most often that was docker exec, which is in no log. This goes by the words of the commands; the comparison after the build tells for certain.',
    remedy: 'To have them in the image, build it with --capture-rest.',
  };
}

export function tornLines(count: number): Finding {
  return {
    code: 'REPLAY_TORN_LOG',
    severity: 'note',
    message: `${count} lines of the log were torn and could not be read.`,
    meaning: 'The engine or its host was stopped in the middle of writing; a command that stood there is missing.',
    remedy: 'See the comparison after the build; --capture-rest carries what is missing.',
  };
}

export function rotatedAway(): Finding {
  return {
    code: 'REPLAY_LOG_ROTATED',
    severity: 'note',
    message: 'The log was rotated as often as files are kept of it, so its begin may be gone.',
    meaning: 'Commands that were typed before are not found.',
    remedy: 'See the comparison after the build; --capture-rest carries what is missing.',
  };
}
