import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Run, runner } from '../../exec/run.ts';
import { openParent } from './open-parent.ts';
import { placeFiles } from './place-files.ts';
import { inodeOf, placedSoFar, TREE, writeDown } from './placed-record.ts';
import { settleFiles, takeBack, takeBackFiles } from './take-back-files.ts';

const { signal } = new AbortController();
const run = runner();
/** Another file system than that of temporary files. */
const ELSEWHERE = '/dev/shm';
const hasElsewhere = existsSync(ELSEWHERE) && statSync(ELSEWHERE).dev !== statSync(tmpdir()).dev;

describe.each([
  ['on one file system', tmpdir(), true],
  ['on two', ELSEWHERE, hasElsewhere],
])('%s', (_, stageIn, canRun) => {
  let dir: string;
  let stage: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'place-'));
    stage = mkdtempSync(join(stageIn, 'stage-'));
    mkdirSync(join(stage, TREE));
  });
  afterEach(() => {
    for (const path of [dir, stage]) rmSync(path, { recursive: true, force: true });
  });
  const check = test.runIf(canRun);

  check('what is put in place can be taken back, with the directories that it needed', async () => {
    const path = staged('a/b/file', 'new');
    chmodSync(join(stage, TREE, dir, 'a/b'), 0o751);
    await place();
    expect(readFileSync(path, 'utf8')).toBe('new');
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o751);
    await takeBackFiles(stage);
    expect(readdirSync(dir)).toEqual([]);
    expect(existsSync(stage)).toBe(false);
  });

  check('a file that differs is in the way, unless it may be replaced; then it can be had back', async () => {
    const path = staged('file', 'new');
    writeFileSync(path, 'old');
    const inode = inodeOf(path);
    await expect(place()).rejects.toThrow(`The target has another ${path}.`);
    expect(readFileSync(path, 'utf8')).toBe('old');
    await place({ mayReplace: true });
    expect(readFileSync(path, 'utf8')).toBe('new');
    await takeBackFiles(stage);
    expect(inodeOf(path)).toBe(inode);
    expect(readdirSync(dir)).toEqual(['file']);
  });

  check('what was replaced is gone when all is settled', async () => {
    const path = staged('file', 'new');
    writeFileSync(path, 'old');
    await place({ mayReplace: true });
    await settleFiles(stage);
    await settleFiles(stage);
    expect(readFileSync(path, 'utf8')).toBe('new');
    expect(readdirSync(dir)).toEqual(['file']);
  });

  check('what was put in place is brought up to date, and is still ours to take back', async () => {
    const path = staged('log', 'first');
    await place();
    const inode = inodeOf(path);
    await place();
    expect(inodeOf(path)).toBe(inode);
    const record = readFileSync(join(stage, 'placed.jsonl'), 'utf8');
    staged('log', 'first, and second');
    chmodSync(join(stage, TREE, path), 0o640);
    await place();
    expect(readFileSync(path, 'utf8')).toBe('first, and second');
    expect(statSync(path).mode & 0o777).toBe(0o640);
    // In the freeze nothing waits for the disk.
    expect(readFileSync(join(stage, 'placed.jsonl'), 'utf8')).toBe(record);
    expect(readdirSync(dir)).toEqual(['log']);
    await takeBackFiles(stage);
    expect(existsSync(path)).toBe(false);
  });

  check('what was written to where it is staged is brought up to date, and no program started', async () => {
    const path = staged('log', 'first');
    await place();
    const at = join(stage, TREE, path);
    for (const content of ['first, and second', 'f', '']) {
      writeFileSync(at, content);
      chmodSync(at, 0o640);
      utimesSync(at, 7, 7);
      await place({ run: () => Promise.reject(new Error('A program was started.')) });
      expect(readFileSync(path, 'utf8')).toBe(content);
      expect(statSync(path)).toMatchObject({ mode: 0o100640, mtimeMs: 7000 });
    }
    await takeBackFiles(stage);
    expect(existsSync(path)).toBe(false);
  });

  check('what is not staged any more is taken back, and what it replaced is there again', async () => {
    const [gone, kept, other] = [staged('gone', 'new'), staged('kept', 'new'), staged('other', 'new')];
    writeFileSync(kept, 'old');
    await place({ mayReplace: true });
    for (const path of [gone, kept]) rmSync(join(stage, TREE, path));
    await place({ mayReplace: true });
    expect([existsSync(gone), readFileSync(kept, 'utf8'), readFileSync(other, 'utf8')]).toEqual([false, 'old', 'new']);
    await takeBackFiles(stage);
    expect(readdirSync(dir)).toEqual(['kept']);
  });

  check('taking back may be repeated after it failed, also of what was brought up to date', async () => {
    const path = staged('file', 'new');
    writeFileSync(path, 'old');
    await place({ mayReplace: true });
    staged('file', 'newer');
    await place({ mayReplace: true });
    for (let time = 0; time < 2; time++) {
      for (const placed of (await placedSoFar(stage)).values()) takeBack(stage, placed);
      expect(readFileSync(path, 'utf8')).toBe('old');
    }
    await takeBackFiles(stage);
    expect(readdirSync(dir)).toEqual(['file']);
    expect(readFileSync(path, 'utf8')).toBe('old');
  });

  check("a file that appears meanwhile is not overwritten, and nobody's file is taken away with ours", async () => {
    const [first, second] = [staged('a', 'new'), staged('b', 'new')];
    const appearing: Run = async (program, args, options) => {
      if (!existsSync(second)) writeFileSync(second, 'theirs');
      return run(program, args, options);
    };
    if (stageIn === tmpdir()) {
      // Where there is nothing to copy, what was written down and not done stands for it.
      const from = `${inodeOf(join(stage, TREE, second))}`;
      await writeDown(stage, [{ path: second, what: 'file', draft: join(dir, '.draft'), inodes: [from] }]);
      writeFileSync(second, 'theirs');
    }
    await expect(place({ run: appearing })).rejects.toThrow(`The target has another ${second}.`);
    await takeBackFiles(stage);
    expect(existsSync(first)).toBe(false);
    expect(readFileSync(second, 'utf8')).toBe('theirs');
    expect(readdirSync(dir)).toEqual(['b']);
  });

  check('what somebody put in the place of ours stays, and so does what is in a directory of ours', async () => {
    const [file, kept] = [staged('a/file', 'new'), staged('kept', 'new')];
    writeFileSync(kept, 'old');
    await place({ mayReplace: true });
    for (const path of [file, kept]) {
      writeFileSync(`${path}.theirs`, 'theirs');
      renameSync(`${path}.theirs`, path);
    }
    await takeBackFiles(stage);
    expect([file, kept].map((path) => readFileSync(path, 'utf8'))).toEqual(['theirs', 'theirs']);
    expect(readdirSync(dir)).toEqual(['a', 'kept']);
  });

  check('nothing is put where a link leads to that others can have made', async () => {
    staged('d/x.sh', 'new');
    mkdirSync(join(dir, 'etc'));
    symlinkSync(join(dir, 'etc'), join(dir, 'd'));
    await expect(place({ mayReplace: true })).rejects.toMatchObject({ code: 'FILE_DIFFERS' });
    expect(readdirSync(join(dir, 'etc'))).toEqual([]);
    await takeBackFiles(stage);
    expect(readdirSync(dir)).toEqual(['d', 'etc']);
  });

  check('nothing is taken away where a link leads to that was made since', async () => {
    const path = staged('d/file', 'new');
    await place();
    mkdirSync(join(dir, 'etc'));
    linkSync(path, join(dir, 'etc/file'));
    rmSync(join(dir, 'd'), { recursive: true });
    symlinkSync(join(dir, 'etc'), join(dir, 'd'));
    await takeBackFiles(stage);
    expect(readdirSync(join(dir, 'etc'))).toEqual(['file']);
  });

  check('a link in the place of the file itself is replaced, and what it leads to stays', async () => {
    const path = staged('file', 'new');
    writeFileSync(join(dir, 'other'), 'theirs');
    symlinkSync(join(dir, 'other'), path);
    await place({ mayReplace: true });
    expect(readFileSync(path, 'utf8')).toBe('new');
    expect(readFileSync(join(dir, 'other'), 'utf8')).toBe('theirs');
    await takeBackFiles(stage);
    expect(readFileSync(path, 'utf8')).toBe('theirs');
  });

  /** A file that has come from the source, for its own place below `dir`; as rsync does, another one each time. */
  function staged(name: string, content: string): string {
    const path = join(dir, name);
    const at = join(stage, TREE, path);
    mkdirSync(dirname(at), { recursive: true });
    writeFileSync(`${at}.new`, content);
    utimesSync(`${at}.new`, 1, 1); // Not that of what a test writes in the same moment.
    renameSync(`${at}.new`, at);
    return path;
  }

  function place(options: { mayReplace?: boolean; run?: Run } = {}): Promise<void> {
    return placeFiles({ stage, run, signal, mayReplace: false, ...options });
  }
});

test.runIf(process.getuid?.() === 0)("links are followed where every directory on the way is root's", () => {
  const top = mkdtempSync('/run/place-');
  try {
    chmodSync(top, 0o755);
    mkdirSync(join(top, 'usr/lib'), { recursive: true });
    symlinkSync('usr/lib', join(top, 'lib'));
    {
      using parent = openParent(join(top, 'lib/a/b/file'));
      expect(parent.missing).toEqual(['a', 'b']);
      expect(parent.directory.stats.ino).toBe(statSync(join(top, 'usr/lib')).ino);
    }
    chmodSync(top, 0o777);
    expect(() => openParent(join(top, 'lib/file'))).toThrow('in the way');
  } finally {
    rmSync(top, { recursive: true });
  }
});
