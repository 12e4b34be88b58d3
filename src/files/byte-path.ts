/**
 * File names as they are on disk: bytes, not necessarily UTF-8. A BytePath is a string with one character per byte
 * (latin1), relative to the root of a tree, without a leading slash; the root itself is the empty string. It survives
 * JSON, compares and splits like any string, and costs one byte a character in V8.
 */
export type BytePath = string;

/** As node:fs takes it: a string where that means the same bytes, else a buffer. */
export function toFs(path: BytePath): string | Buffer {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII means the same bytes in latin1 and UTF-8
  return /^[\x00-\x7f]*$/.test(path) ? path : Buffer.from(path, 'latin1');
}

/** An absolute path of the host, which is ordinary text, as a BytePath. */
export function fromText(path: string): BytePath {
  return Buffer.from(path, 'utf8').toString('latin1');
}

export function joinBytes(parent: BytePath, name: BytePath): BytePath {
  return parent === '' ? name : `${parent}/${name}`;
}

/** The containing directory; the root's is the root. */
export function parentOf(path: BytePath): BytePath {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}

/** The last component. */
export function nameOf(path: BytePath): BytePath {
  return path.slice(path.lastIndexOf('/') + 1);
}
