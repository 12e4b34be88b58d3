/** Bind mounts and other mounts whose content does not belong to the engine. */
import type { Finding } from '../finding.ts';
import type { SourceCase } from './case.ts';
import { type Entry, raising } from './finding-table.ts';

export function checkMounts({ container, name, options }: SourceCase): Finding[] {
  return container.mounts.flatMap((mount) => {
    const bind = `${mount.Source} at ${mount.Destination}`;
    switch (mount.Type) {
      case 'bind':
        return bindFinding(bindKind(mount), `${name} has the host's ${bind}.`, options.carryBinds);
      case 'volume':
      case 'tmpfs':
        return [];
      default:
        return [raise('MOUNT_TYPE', `${name} has a mount of the kind ${mount.Type} at ${mount.Destination}.`)];
    }
  });
}

/**
 * What a bind mount is of, as its path tells: `data` can be carried; a `host-file` describes the host or is a part of
 * its system that is only read, and the target has its own; `special` ones are sockets, devices and what the kernel makes up; `system` directories belong to the
 * host's own programs, and carrying them would overwrite the target's.
 */
export type BindKind = 'data' | 'host-file' | 'special' | 'system';

export function bindKind({ Source, RW = true }: { Source: string; RW?: boolean }): BindKind {
  const path = Source.replace(/(.)\/+$/, '$1');
  if (HOST_FILES.test(path)) return 'host-file';
  if (SPECIAL.test(path)) return 'special';
  if (!SHARED.test(path) && !TREES.test(path)) return 'data';
  return RW ? 'system' : 'host-file';
}

const HOST_FILES =
  /^\/(etc\/(localtime|timezone|hosts|hostname|resolv\.conf|machine-id|os-release)|usr\/share\/zoneinfo(\/.*)?)$/;
const SPECIAL = /^\/(dev|proc|sys|run|var\/run)(\/.*)?$|\.sock(et)?$/;
/** Directories of the file system hierarchy that are shared by many; what lies below them may be data. */
const SHARED = /^\/(|etc|home|media|mnt|opt|root|srv|tmp|usr\/local|var|var\/(cache|lib|log|spool|tmp))$/;
/** Trees that are the system's through and through. */
const TREES = /^\/(boot|s?bin|lib\w*|usr(?!\/local\/)|var\/lib\/(containerd|docker|drayage))(\/.*)?$/;

export const MOUNT_FINDINGS = {
  BIND_MOUNT: {
    severity: 'blocks',
    meaning: 'The files belong to the host, not to the container, and do not move unless you say so.',
    remedy: 'Give --carry-binds to copy them to the same path on the target, or use a named volume.',
  },
  BIND_CARRIED: {
    severity: 'costs',
    meaning: 'With --carry-binds it is copied to the same path on the target, and whatever is there is overwritten.',
    remedy: 'See that nothing on the target needs what it has at that path.',
  },
  BIND_SPECIAL: {
    severity: 'blocks',
    meaning: "It leads into this host's kernel or to one of its programs, and cannot be copied.",
    remedy: 'Create the container again without it.',
  },
  BIND_SYSTEM: {
    severity: 'blocks',
    meaning: "It holds what this host itself runs on: copied, it would overwrite the target's own system.",
    remedy: 'Mount only the directory that the program needs.',
  },
  BIND_HOST_FILE: {
    severity: 'note',
    meaning: 'It belongs to the host; the copy sees what the target has there.',
    remedy: 'Nothing is to be done, unless a program has a file open there that differs on the target.',
  },
  MOUNT_TYPE: {
    severity: 'blocks',
    meaning: 'drayage does not know how to make such a mount on the target.',
    remedy: 'Create the container again with a volume in its place.',
  },
} as const satisfies Record<string, Entry>;

const raise = raising(MOUNT_FINDINGS);

function bindFinding(kind: BindKind, message: string, carryBinds: boolean): Finding[] {
  switch (kind) {
    case 'data':
      return [raise(carryBinds ? 'BIND_CARRIED' : 'BIND_MOUNT', message)];
    case 'host-file':
      return [raise('BIND_HOST_FILE', message)];
    case 'special':
      return [raise('BIND_SPECIAL', message)];
    case 'system':
      return [raise('BIND_SYSTEM', message)];
  }
}
