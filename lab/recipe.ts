/** What a lab host's root file system is made of. The hash of the recipe is part of its name, so a change rebuilds. */
import { createHash } from 'node:crypto';

/** Major versions of Docker Engine that a lab can have. */
export const DOCKER_VERSIONS = [26, 28] as const;
export type DockerVersion = (typeof DOCKER_VERSIONS)[number];

export interface BaseRecipe {
  /** Debian release the tree starts from, or the recipe whose finished tree is copied. */
  from: 'trixie' | BaseRecipe;
  packages: readonly string[];
  /** Taken from Debian unstable instead, with what they need of it. */
  fromUnstable: readonly string[];
  /** To be raised when the way of building changes but the packages do not. */
  revision: number;
}

const TRIXIE: BaseRecipe = {
  from: 'trixie',
  packages: [
    ...['runc', 'crun', 'docker.io', 'docker-cli', 'podman'],
    ...['openssh-server', 'openssh-client', 'rsync', 'zstd', 'ca-certificates'],
    ...['iproute2', 'iptables', 'nftables', 'procps', 'e2fsprogs', 'busybox-static', 'python3-minimal'],
  ],
  // CRIU 4.1, which trixie has, cannot dump inet sockets on kernels >= 6.16; crun loads libcriu2 of the same version.
  fromUnstable: ['criu', 'libcriu2', 'libnl-3-200'],
  revision: 2,
};

export const BASE_RECIPES: Record<DockerVersion, BaseRecipe> = {
  26: TRIXIE,
  28: {
    from: TRIXIE,
    packages: [],
    fromUnstable: ['docker.io', 'docker-cli', 'containerd', 'runc'],
    revision: 1,
  },
};

/** A short name for anything that can be written as JSON: equal for equal values, and otherwise not. */
export function hashOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 12);
}
