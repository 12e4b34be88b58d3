/**
 * What runs in a restore of a tree of processes. No engine is in front of CRIU here: a launcher leaves the agent's
 * cgroups and starts CRIU, which waits for the images and for the commit as with containers; a root of its own waits for
 * the images itself.
 */

import { TERMINAL_FD, treeRestoreArgs } from '../../tools/criu-tree.ts';
import type { RestoreScripts } from '../docker/rendezvous.ts';
import { privateRootScript } from './private-root.ts';
import { quote } from './quote.ts';

/** `cgroup.procs` files that the launcher joins, in this order. */
export interface LaunchCgroups {
  /** Of the roots of hierarchies: out of the agent's. */
  roots: readonly string[];
  /** The copy's: a recovery knows its processes by them. */
  own: readonly string[];
}

export interface TreeRestore {
  imagesDir: string;
  cgroups: LaunchCgroups;
  /** For a tree whose session leader is in it: see TerminalFacts. */
  externalTerminal: string | undefined;
  isOnTerminal: boolean;
  /** In a namespace for their numbers. */
  pidNamespace: boolean;
  /** Where the files that came with them are, and where their root may be made, if they alone are to see them. */
  privateRoot: { tree: string; place: string } | undefined;
}

export function treeScripts(restore: TreeRestore): RestoreScripts {
  const { imagesDir, cgroups, externalTerminal, isOnTerminal, pidNamespace, privateRoot } = restore;
  // The leader of the terminal's session is above the tree; and in a namespace CRIU is the init, which reaps for all.
  const stays = isOnTerminal || pidNamespace;
  // What has been laid over the host's files must not change any more.
  const startsLate = privateRoot !== undefined;
  return {
    action: (dir) => actionScript(dir, stays),
    criu: (dir, criuPath) => {
      const args = treeRestoreArgs({ imagesDir, workDir: `${dir}/work`, externalTerminal, stays });
      const around = pidNamespace ? [...NAMESPACE, ...(isOnTerminal ? ['--ctty'] : [])] : [];
      const inside = privateRoot === undefined ? [] : inPrivateRoot(privateRoot);
      return launcher(dir, [...inside, ...around, criuPath, ...args], cgroups, startsLate);
    },
    startsLate,
  };
}

// A session from outside of a pid namespace has no number in it, and CRIU gives its own to the tree: so it leads one.
const NAMESPACE = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc', 'setsid'];

function inPrivateRoot({ tree, place }: NonNullable<TreeRestore['privateRoot']>): string[] {
  return ['unshare', '--mount', 'sh', '-c', privateRootScript(tree, place), 'sh'];
}

// There are no namespaces to be wired. With CRIU staying its own end comes only with that of the tree: what is reported
// then is nobody's any more.
function actionScript(dir: string, stays: boolean): string {
  const ended = stays ? `; echo 0 >${dir}/status; echo status 0 1<>${dir}/events` : '';
  return `#!/bin/sh
case $CRTOOLS_SCRIPT_ACTION in
  post-restore)
    echo "$CRTOOLS_INIT_PID" >${dir}/initpid
    echo wired 1<>${dir}/events
    echo ready 1<>${dir}/events
    read -r word <${dir}/commit && [ "$word" = go ] || exit 1
    (set -C && : >${dir}/taken) 2>/dev/null || exit 1
    ;;
  pre-resume) : >${dir}/resuming ;;
  post-resume) : >${dir}/resumed; echo resumed 1<>${dir}/events${ended} ;;
esac
`;
}

// A tree that leads no group of its own shares that of the launcher and CRIU on the terminal: what is typed there is for
// the tree only. CRIU gives the tree its own dispositions of signals back.
function launcher(dir: string, command: readonly string[], { roots, own }: LaunchCgroups, startsLate: boolean): string {
  return `#!/bin/sh
trap '' HUP INT QUIT TSTP TTIN TTOU
enter() {
  for procs in ${roots.map(quote).join(' ')}; do echo $$ >"$procs"; done
  for procs in ${own.map(quote).join(' ')}; do echo $$ >"$procs" || return 1; done
}
announce() {
  echo "waiting $$" 1<>${dir}/events
  ${startsLate ? `read -r word <${dir}/go && [ "$word" = go ]` : ':'}
}
cd /
if enter && announce; then
  CRIU_CONFIG_FILE=${dir}/criu.conf PATH=${dir}/bin:$PATH ${command.map(quote).join(' ')} ${TERMINAL_FD}<&0
  status=$?
else
  status=1
fi
[ -d ${dir} ] || exit $status
echo $status >${dir}/status
echo "status $status" 1<>${dir}/events
`;
}
