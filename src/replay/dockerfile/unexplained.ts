/**
 * Pure: changed paths of a container of which no command can be seen to have made them: what was done by docker exec,
 * most often. It is a guess from the words of the commands, to be told before anything is built; the comparison after
 * the build tells for certain.
 */
import { posix } from 'node:path';
import type { Change } from '../../tools/docker-types.ts';
import { exclusionOf } from '../proof/exclusions.ts';
import { programOf, type SimpleCommand, simpleCommands } from '../session/simple-commands.ts';
import type { Step } from './steps.ts';

/** They write all over the system. */
const SYSTEM =
  /^(?:apt-get|apt|aptitude|dpkg\S*|add-apt-repository|yum|dnf|microdnf|rpm|zypper|pacman|apk|pip\d?|npm|yarn|pnpm|gem|cargo|go|make|cmake|ninja|useradd|adduser|usermod|userdel|deluser|groupadd|groupmod|addgroup|chpasswd|passwd|chsh|update-\S+|locale-gen|localedef|ldconfig|systemctl|debconf\S*|visudo)$/;
/** They write to what they are given, and nowhere else. */
const PLAIN =
  /^(?:touch|mkdir|rmdir|cp|mv|rm|ln|chmod|chown|chgrp|install|tee|truncate|mkfifo|mknod|dd|sed|cat|echo|printf|head|tail|sort|uniq|cut|tr|grep|date|test|\[|gzip|gunzip|xz|bzip2|patch|shred|split|ls|true|:)$/;

const USERS = /^(?:useradd|adduser|usermod|userdel|deluser)$/;
const SHELL = /^(?:ba|da|a|z|k)?sh$/;

/** @param mounts what is mounted is in no image */
export function unexplained(changes: readonly Change[], steps: readonly Step[], mounts: readonly string[]): string[] {
  const reach = reachOf(steps);
  const added = new Set(changes.filter(({ Kind }) => Kind === 1).map(({ Path }) => Path));
  const paths = new Set(changes.map(({ Path }) => Path));
  const parents = new Set([...paths].flatMap((path) => ancestors(path)));
  const isExplained = (path: string): boolean =>
    exclusionOf(path) !== undefined ||
    mounts.some((mount) => isIn(path, mount) || isIn(mount, path)) ||
    reach.places.some((place) => isIn(path, place)) ||
    reach.prefixes.some((prefix) => path.startsWith(prefix)) ||
    (reach.system && !/^\/(?:root|home|srv|tmp|data|app|work\w*|mnt|media)\//.test(path)) ||
    (reach.anything && added.has(`/${path.split('/')[1]}`));
  const left = changes
    // A directory is changed by whatever changes in it.
    .filter(({ Path, Kind }) => !(Kind === 0 && parents.has(Path)))
    .map(({ Path }) => Path)
    .filter((path) => !isExplained(path));
  const all = new Set(left);
  return left.filter((path) => !ancestors(path).some((parent) => all.has(parent))).sort();
}

interface Reach {
  /** Files, and directories with all that is in them. */
  places: string[];
  /** Begins of words that the shell expands. */
  prefixes: string[];
  /** Something writes all over the system. */
  system: boolean;
  /** A program of which nothing is known ran in `/`. */
  anything: boolean;
}

function reachOf(steps: readonly Step[]): Reach {
  const reach: Reach = { places: [], prefixes: [], system: false, anything: false };
  for (const step of steps) {
    if (step.type === 'file' || step.type === 'edited') reach.places.push(step.path);
    if (step.type !== 'run') continue;
    for (const command of step.lines.flatMap((line) => simpleCommands(line))) addCommand(reach, command, step);
  }
  return reach;
}

function addCommand(reach: Reach, command: SimpleCommand, { directory, user }: { directory: string; user: string }) {
  const words = [...command.words, ...command.redirects.flatMap(({ target }) => target ?? [])];
  for (const { value, raw } of words) {
    if (value?.startsWith('-')) continue;
    const home = user === 'root' ? '/root' : `/home/${user.replace(/:.*/, '')}`;
    const typed = (value ?? raw).replace(/^~(?=\/|$)/, home).replace(/["']/g, '');
    const [known = ''] = typed.split(/[$`*?[{]/, 1);
    const path = posix.resolve(directory, known);
    if (path === '/') continue;
    if (known === typed) reach.places.push(path);
    else if (known !== '') reach.prefixes.push(known.endsWith('/') ? `${path}/` : path);
    else if (directory !== '/') reach.places.push(directory);
  }
  const name = programOf(command);
  const script = SHELL.test(name) && command.words[1]?.value === '-c' ? command.words[2]?.value : undefined;
  if (script !== undefined) {
    for (const inner of simpleCommands(script)) addCommand(reach, inner, { directory, user });
    return;
  }
  if (USERS.test(name)) reach.places.push('/home');
  if (SYSTEM.test(name)) reach.system = true;
  if (name === '' || PLAIN.test(name)) return;
  if (directory === '/') reach.anything = true;
  else reach.places.push(directory);
}

function isIn(path: string, place: string): boolean {
  return path === place || path.startsWith(`${place}/`);
}

/** Without the root. */
function ancestors(path: string): string[] {
  const parts = path.split('/');
  return parts.slice(2).map((_, i) => parts.slice(0, i + 2).join('/'));
}
