/** A Debian that can be worked in without a network: its apt knows a repository that is part of the tree. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bootstrap, type Debian, inTree, sweep } from './debian.ts';

const PLACE = '/srv/repository';

/** Makes a tree at `tree`, which must not exist; `repository` and what it needs can be installed in it. */
export async function makeSystem(
  debian: Debian,
  tree: string,
  packages: readonly string[],
  repository: readonly string[],
): Promise<void> {
  await bootstrap(debian, tree, { suite: 'trixie', variant: 'minbase', packages });
  await mkdir(join(tree, PLACE), { recursive: true });
  // A list of packages is made of what each says of itself; dpkg-scanpackages would bring Perl and a compiler's tools.
  const script = `set -e
    apt-get update -q
    apt-get install -y -q --no-install-recommends --download-only "$@"
    mv /var/cache/apt/archives/*.deb ${PLACE}
    cd ${PLACE}
    for deb in *.deb; do
      dpkg-deb -f "$deb"
      echo "Filename: ./$deb"
      echo "Size: $(stat -c %s "$deb")"
      echo "SHA256: $(sha256sum "$deb" | cut -d" " -f1)"
      echo
    done > Packages`;
  await inTree(debian, tree, ['sh', '-c', script, 'sh', ...repository]);
  await sweep(tree);
  await rm(join(tree, 'etc/apt/sources.list.d'), { recursive: true, force: true });
  await mkdir(join(tree, 'etc/apt/sources.list.d'));
  await writeFile(join(tree, 'etc/apt/apt.conf.d/lab'), 'Acquire::Languages "none";\n');
  await writeFile(join(tree, 'etc/apt/sources.list'), `deb [trusted=yes] file:${PLACE} ./\n`);
}
