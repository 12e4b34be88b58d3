/**
 * The script that CRIU runs at the steps of a restore (rendezvous.ts): it tells the agent of them, waits for it, and makes
 * of the network namespace what the workload needs, and CRIU and the engine do not give it.
 */

/** A table in the copy's network namespace, from before its sockets are restored until `unlockNetwork`. */
export const NETWORK_LOCK = 'drayage_lock';

/*
 * CRIU makes the network namespace and does not know what runc would have set in it (the shim wrote it to `sysctls`); the
 * sockets come later, and the length of a listener's queue is cut to net.core.somaxconn.
 *
 * The engine takes a terminal before it wires the network, and CRIU gives it away between the two steps: so a workload
 * with one is held back at the second only. CRIU runs the script for every action; scripts from the configuration file
 * run in RPC mode, too, after runc's own notification (criu/action-scripts.c, run_scripts: since 4.0), so at
 * setup-namespaces runc's hooks have run.
 */
export function actionScript(dir: string): string {
  return `#!/bin/sh
in_namespace() { nsenter --net=/proc/$CRTOOLS_INIT_PID/ns/net sh -c "$1"; }
until_started() { read -r word <${dir}/start && [ "$word" = go ] || exit 1; echo wired 1<>${dir}/events; }
case $CRTOOLS_SCRIPT_ACTION in
  setup-namespaces)
    printf %s "$CRTOOLS_INIT_PID" >${dir}/initpid.new && mv ${dir}/initpid.new ${dir}/initpid
    echo initpid 1<>${dir}/wake
    echo created 1<>${dir}/events
    [ ! -e ${dir}/terminal ] || in_namespace 'ip link set dev lo up'
    [ ! -s ${dir}/rules ] || in_namespace 'nft -f -' <${dir}/rules || exit 1
    in_namespace 'while read -r path value; do echo "$value" >/proc/sys/$path; done' <${dir}/sysctls
    [ ! -s ${dir}/addresses ] || in_namespace 'nft "${LOCK}"' || exit 1
    [ -e ${dir}/terminal ] || until_started
    [ ! -s ${dir}/addresses ] || in_namespace '${ADD_ADDRESSES}; ${addRoutes(`${dir}/routed`)}' <${dir}/addresses
    ;;
  post-restore)
    if [ -e ${dir}/terminal ]; then
      : >${dir}/restored
      echo restored 1<>${dir}/wake
      until_started
    fi
    [ ! -e ${dir}/routed ] || in_namespace '${REMOVE_ROUTES}' 2>/dev/null
    echo ready 1<>${dir}/events
    read -r word <${dir}/commit && [ "$word" = go ] || exit 1
    (set -C && : >${dir}/taken) 2>/dev/null || exit 1
    ;;
  pre-resume) : >${dir}/resuming ;;
  post-resume)
    : >${dir}/resumed
    echo resumed 1<>${dir}/wake
    echo resumed 1<>${dir}/events
    ;;
esac
`;
}

/**
 * An address that the engine gave to the device is there by now, unless it wires the network later (with a terminal).
 * Docker gives a device no address of IPv6 that there is a route to. Somebody else on the network may have one that is
 * added: neighbours are not to be told of it.
 */
const ADD_ADDRESSES = [
  'while read -r address',
  'do ip -o address show to "$address" | grep -q . && continue',
  'ip address add "$address" dev lo noprefixroute',
  'echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore',
  'echo 2 >/proc/sys/net/ipv4/conf/all/arp_announce',
  'done',
].join('; ');

/**
 * What a socket had not sent yet CRIU sends anew, in an ordinary way (soccr.c, libsoccr_restore_queue), and where the
 * engine keeps the network namespace it does not lock that. Who gets such a packet before all is restored resets the
 * connection. TCP alone waits: Docker 28 announces IPv6 addresses from within the namespace.
 */
const LOCK = [
  `add table inet ${NETWORK_LOCK}`,
  `add chain inet ${NETWORK_LOCK} output { type filter hook output priority 0; }`,
  `add rule inet ${NETWORK_LOCK} output meta l4proto tcp drop`,
].join('; ');

/** Connections cannot be restored without a route, wherever it leads; the engine's own comes before it by its metric. */
const ROUTE = 'default dev lo metric 424242';
const REMOVE_ROUTES = `ip route del ${ROUTE}; ip -6 route del ${ROUTE}`;

/**
 * No route is taken by a device that is down, which the loopback device is until the engine has wired the network.
 * @param mark the file that is made where there is a route to be removed again
 */
function addRoutes(mark: string): string {
  const add = (family: string) =>
    `ip ${family} route show default | grep -q . || { ip ${family} route add ${ROUTE}; : >${mark}; }`;
  return `${add('-4')}; if ip -6 -o address show scope global | grep -q .; then ${add('-6')}; fi`;
}
