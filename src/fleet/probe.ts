/** What a host has, asked by one script that needs nothing but a POSIX shell: drayage may not be there yet. */
import { PROGRAM_DIRECTORY, WRAPPER } from './layout.ts';
import type { Shell } from './shell.ts';

export interface Probe {
  uid: number;
  system: string;
  /** As `uname -m` says it. */
  arch: string;
  kernel: string;
  /** ID, VERSION_ID and ID_LIKE of os-release; empty where there is none. */
  distribution: { id: string; version: string; like: string };
  /** null where there is none. */
  criu: { version: string; check: string } | null;
  /** null where there is none; `running` tells of its socket. */
  docker: { version: string; running: boolean } | null;
  /** Programs of the list below that are there. */
  tools: Set<string>;
  systemd: boolean;
  /** Bytes free where the program goes. */
  diskFree: number;
  /** What is at the place of the wrapper. */
  wrapper: 'absent' | 'ours' | 'foreign';
}

const TOOLS = ['runc', 'rsync', 'ssh', 'iptables', 'nft', 'zstd', 'gzip', 'sha256sum', 'sync'] as const;

export async function probe(shell: Shell, signal?: AbortSignal): Promise<Probe> {
  return parseProbe(await shell.run(PROBE_SCRIPT, [], { signal }));
}

const PROBE_SCRIPT = `
export LC_ALL=C PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH"
say() { printf '%s=%s\\n' "$1" "$2"; }
has() { command -v "$1" >/dev/null 2>&1; }
say uid "$(id -u)"
say system "$(uname -s)"
say arch "$(uname -m)"
say kernel "$(uname -r)"
(
  . /etc/os-release 2>/dev/null || exit 0
  say distribution.id "\${ID-}"
  say distribution.version "\${VERSION_ID-}"
  say distribution.like "\${ID_LIKE-}"
)
if has criu; then
  say criu.version "$(criu --version 2>/dev/null | sed -n 's/^Version: *//p')"
  if said=$(criu check 2>&1); then say criu.check ok; else say criu.check "$(printf '%s' "$said" | tail -n 1)"; fi
fi
if has dockerd; then
  say docker.version "$(dockerd --version 2>/dev/null | sed -n 's/^Docker version \\([^, ]*\\).*/\\1/p')"
  if [ -S /var/run/docker.sock ]; then say docker.running yes; fi
fi
for tool in ${TOOLS.join(' ')}; do if has $tool; then say tool $tool; fi; done
if [ -d /run/systemd/system ]; then say systemd yes; fi
say diskfree "$(df -Pk /usr/local | awk 'NR == 2 { print $4 }')"
if [ ! -e ${WRAPPER} ] && [ ! -L ${WRAPPER} ]; then say wrapper absent
elif grep -q ${PROGRAM_DIRECTORY}/drayage.mjs ${WRAPPER}; then say wrapper ours
else say wrapper foreign; fi
`;

/** From the script's lines `key=value`. */
export function parseProbe(output: string): Probe {
  const values = new Map<string, string>();
  const tools = new Set<string>();
  for (const line of output.split('\n')) {
    const at = line.indexOf('=');
    if (at < 0) continue;
    const [key, value] = [line.slice(0, at), line.slice(at + 1)];
    if (key === 'tool') tools.add(value);
    else values.set(key, value);
  }
  const get = (key: string) => values.get(key) ?? '';
  const criu = get('criu.version');
  const docker = values.get('docker.version');
  return {
    uid: Number(get('uid') || Number.NaN),
    system: get('system'),
    arch: get('arch'),
    kernel: get('kernel'),
    distribution: {
      id: get('distribution.id'),
      version: get('distribution.version'),
      like: get('distribution.like'),
    },
    criu: criu === '' ? null : { version: criu, check: get('criu.check') },
    docker: docker === undefined ? null : { version: docker, running: get('docker.running') === 'yes' },
    tools,
    systemd: get('systemd') === 'yes',
    diskFree: Number(get('diskfree')) * 1024,
    wrapper: get('wrapper') === 'ours' || get('wrapper') === 'foreign' ? (get('wrapper') as 'ours') : 'absent',
  };
}
