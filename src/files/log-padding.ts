/** Takes out the blanks that an earlier move left in a json-file log: no line of the engine begins with one. */
const NEWLINE = 0x0a;
const SPACE = 0x20;

export class PaddingStripper {
  #atLineStart = true;

  /** The next bytes of the file, without padding; a view of them where there is none. */
  strip(bytes: Buffer): Buffer {
    const kept: Buffer[] = [];
    let from = 0;
    while (from < bytes.length) {
      if (this.#atLineStart) {
        while (from < bytes.length && bytes[from] === SPACE) from++;
        if (from === bytes.length) break;
      }
      const next = bytes.indexOf('\n ', from, 'latin1');
      const end = next < 0 ? bytes.length : next + 1;
      kept.push(bytes.subarray(from, end));
      this.#atLineStart = bytes[end - 1] === NEWLINE;
      from = end;
    }
    return kept.length === 1 ? (kept[0] as Buffer) : Buffer.concat(kept);
  }
}
