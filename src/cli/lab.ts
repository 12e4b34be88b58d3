/** `drayage lab`: several hosts on this machine, to try drayage on. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { IMAGE_RECIPES } from '../../lab/image-recipes.ts';
import { Lab, type LabSummary } from '../../lab/lab.ts';
import { DOCKER_VERSIONS, type DockerVersion } from '../../lab/recipe.ts';
import { DrayageError } from '../errors.ts';
import { declare, jsonOption } from './command.ts';

export interface LabContext {
  /** Writes a line of the command's result. */
  print(line: string): void;
  /** Writes a line about what is being done. */
  progress(line: string): void;
  /** Holds drayage.mjs and shim/, which lab hosts are given. */
  programDir: string;
  /** DRAYAGE_DEBIAN_MIRROR, where it is set. */
  mirror?: string | undefined;
  /** The type of the user's terminal, where input and output are one. */
  terminal?: string | undefined;
  /** Aborted when the user asks to stop. */
  signal?: AbortSignal | undefined;
  /** The status that the program is to exit with. */
  exitWith(status: number): void;
}

export function labCommand(context: LabContext): Command {
  const lab = declare('lab', {
    summary: 'make hosts on this machine, to try drayage on',
    description:
      'Makes hosts out of namespaces of this machine, each with Docker, Podman, sshd, CRIU and a drayage agent of its own, on a network that reaches nothing outside.',
    examples: [
      ['drayage lab up', 'two hosts, a and b'],
      ['drayage lab image counter a', "an image for host a's Docker"],
      ['drayage lab on a -- docker run -d --name web --pull=never counter', ''],
      ['drayage lab on a -- ssh root@b docker ps', 'hosts know each other by name and key'],
      ['drayage lab up --name slow --rate 100mbit', 'a second lab beside the first'],
      ['drayage lab down --all', ''],
    ],
  })
    .addHelpText('after', IMAGES)
    .enablePositionalOptions();
  lab.addCommand(upCommand(context));
  lab.addCommand(lsCommand(context));
  lab.addCommand(onCommand(context));
  lab.addCommand(imageCommand(context));
  lab.addCommand(downCommand(context));
  return lab;
}

const IMAGES = `
Images:
${Object.entries(IMAGE_RECIPES)
  .map(([name, { about }]) => `  ${name.padEnd(9)} ${about}\n`)
  .join('')}`;

interface UpOptions {
  name: string;
  hosts?: string[];
  docker: DockerVersion;
  rate?: string;
  disk?: number;
  agent: boolean;
}

function upCommand({ print, progress, programDir, mirror, signal }: LabContext): Command {
  return declare('up', {
    summary: 'make a lab',
    description: 'Makes a lab. What it is built of is fetched from the Debian mirror the first time, and kept.',
    examples: [
      ['drayage lab up', ''],
      ['drayage lab up --hosts a,b,c --docker 28', ''],
      ['drayage lab up --name small --disk 512m', 'with disks that can be filled'],
    ],
  })
    .option('--hosts <names>', 'names of the hosts, with commas (default: a,b)', (text) => text.split(','))
    .addOption(
      new Option('--docker <version>', 'major version of Docker').choices(DOCKER_VERSIONS.map(String)).default('26'),
    )
    .option('--rate <rate>', 'of each link, as tc writes it, e.g. 1gbit', parseRate)
    .option('--disk <size>', "put Docker's data on a disk of that size, in memory, e.g. 512m", parseMegabytes)
    .option('--no-agent', 'leave drayage off the hosts')
    .addOption(nameOption())
    .action(async ({ hosts: names = ['a', 'b'], docker, rate, disk, ...options }: UpOptions) => {
      const started = performance.now();
      const old = (await Lab.list()).find(({ name }) => name === options.name);
      if (old?.whole && isLike(old.state, names, Number(docker))) {
        return print(`lab ${options.name} is up already`);
      }
      const lab = await Lab.up({
        ...options,
        hosts: names,
        docker: Number(docker) as DockerVersion,
        rate,
        diskMb: disk,
        programDir,
        mirror,
        signal,
        onProgress: progress,
      });
      const hosts = lab.hosts.map((host) => `${host.name} ${host.address}`).join(', ');
      print(`lab ${lab.name} is up: ${hosts} (${seconds(started)})`);
      print(`enter a host: drayage lab on ${nameArgument(lab.name)}${lab.hosts[0]?.name} -- bash`);
    });
}

function lsCommand({ print }: LabContext): Command {
  return declare('ls', {
    summary: 'list labs and their hosts',
    description: 'Lists labs with their hosts, addresses and state.',
    examples: [
      ['drayage lab ls', ''],
      ['drayage lab ls --json', 'for programs'],
    ],
  })
    .addOption(jsonOption())
    .action(async ({ json }: { json?: true }) => {
      const labs = await Lab.list();
      if (json) return print(JSON.stringify(labs.map(describe), null, 2));
      if (labs.length === 0) return print('no lab is up; make one: drayage lab up');
      for (const lab of labs.map(describe)) {
        print(`${lab.name}  ${lab.state}${lab.docker === undefined ? '' : `  Docker ${lab.docker}`}`);
        for (const host of lab.hosts) print(`  ${host.name}  ${host.address}`);
      }
    });
}

function onCommand({ terminal, exitWith }: LabContext): Command {
  return declare('on', {
    summary: 'run a command on a host',
    description:
      'Runs a command on a host, as root, and exits with its status; on a terminal the command has one of its own.',
    examples: [
      ['drayage lab on a', 'a shell'],
      ['drayage lab on a -- docker ps', ''],
      ['drayage lab on --name slow b -- tail -f /var/log/dockerd.log', ''],
    ],
  })
    .argument('<host>')
    .argument('[command...]', 'a shell, if none is given')
    .addOption(nameOption())
    .passThroughOptions()
    .action(async (host: string, command: string[], { name }: { name: string }) => {
      // What comes after the host is passed through as it is, with the -- that may stand before the command.
      const [program = 'bash', ...args] = command[0] === '--' ? command.slice(1) : command;
      const lab = await Lab.open(name);
      exitWith(await lab.host(host).onTerminal(program, args, terminal));
    });
}

function imageCommand({ print, progress, mirror }: LabContext): Command {
  return declare('image', {
    summary: 'give hosts an image',
    description: `Builds an image (${Object.keys(IMAGE_RECIPES).join(', ')}), once, and gives it to the Docker of hosts.`,
    examples: [
      ['drayage lab image counter', 'all hosts'],
      ['drayage lab image redis a', ''],
    ],
  })
    .argument('<image>')
    .argument('[host...]', 'all hosts, if none is named')
    .addOption(nameOption())
    .action(async (image: string, hosts: string[], { name }: { name: string }) => {
      const lab = await Lab.open(name, { mirror });
      const started = performance.now();
      await lab.image(image, hosts, progress);
      const where = hosts.length === 0 ? lab.hosts.map((host) => host.name) : hosts;
      print(`${image}:latest is on ${where.join(', ')} (${seconds(started)})`);
    });
}

function downCommand({ print, progress }: LabContext): Command {
  return declare('down', {
    summary: 'remove a lab',
    description: 'Removes a lab, or what is left of one, but not what the next is built of.',
    examples: [
      ['drayage lab down', ''],
      ['drayage lab down --all', ''],
    ],
  })
    .addOption(nameOption())
    .addOption(new Option('--all', 'every lab').conflicts('name'))
    .action(async ({ name, all }: { name: string; all?: true }) => {
      const names = all ? (await Lab.list()).map((lab) => lab.name) : [name];
      for (const each of names) {
        progress(`removing lab ${each}`);
        if (!(await Lab.remove(each))) throw new DrayageError('LAB_NOT_FOUND', `No lab is called ${each}.`);
        print(`lab ${each} is gone`);
      }
      if (names.length === 0) print('no lab is up');
    });
}

function isLike(state: LabSummary['state'], hosts: readonly string[], docker: number): boolean {
  return state?.docker === docker && state.hosts.map(({ name }) => name).join() === hosts.join();
}

const DEFAULT_NAME = 'lab';

function nameOption(): Option {
  return new Option('--name <name>', 'of the lab').default(DEFAULT_NAME);
}

/** How a command names a lab that is not the default one. */
function nameArgument(name: string): string {
  return name === DEFAULT_NAME ? '' : `--name ${name} `;
}

function describe({ name, state, whole }: LabSummary) {
  return {
    name,
    state: state === undefined ? 'broken' : state.phase !== 'up' ? state.phase : whole ? 'up' : 'broken',
    docker: state?.docker,
    hosts: (state?.hosts ?? []).map((host) => ({ name: host.name, address: host.address, pid: host.init?.pid })),
  };
}

function parseRate(text: string): string {
  if (/^\d+(\.\d+)?[kmgt]?(bit|bps)$/i.test(text)) return text;
  throw new InvalidArgumentError('Write it as tc does: 1gbit, 100mbit.');
}

function parseMegabytes(text: string): number {
  const [, number, unit = 'm'] = /^(\d+)([mg]?)$/i.exec(text) ?? [];
  if (number === undefined) throw new InvalidArgumentError('Write it as 512m or 2g.');
  return Number(number) * (unit.toLowerCase() === 'g' ? 1024 : 1);
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}
