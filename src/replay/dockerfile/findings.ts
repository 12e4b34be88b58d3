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
