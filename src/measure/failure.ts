/** Ways in which a request or a connection fails, as a client sees them. */
export const FAILURES = ['refused', 'reset', 'timeout', 'unreachable', 'status', 'garbled', 'local', 'other'] as const;
export type Failure = (typeof FAILURES)[number];

/** What each means, for reports. */
export const FAILURE_MEANINGS: Record<Failure, string> = {
  refused: 'nobody listened',
  reset: 'the connection was cut before the answer was whole',
  timeout: 'no whole answer within the deadline',
  unreachable: 'no way to the address',
  status: 'an answer with a status of 400 or more',
  garbled: 'an answer that is no HTTP',
  local: 'this host, not the workload: out of ports or files',
  other: 'anything else',
};

const BY_CODE: Record<string, Failure> = {
  ECONNREFUSED: 'refused',
  ECONNRESET: 'reset',
  ECONNABORTED: 'reset',
  EPIPE: 'reset',
  UND_ERR_SOCKET: 'reset',
  ETIMEDOUT: 'timeout',
  UND_ERR_CONNECT_TIMEOUT: 'timeout',
  UND_ERR_HEADERS_TIMEOUT: 'timeout',
  UND_ERR_BODY_TIMEOUT: 'timeout',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  EHOSTDOWN: 'unreachable',
  EADDRNOTAVAIL: 'local',
  EMFILE: 'local',
  ENFILE: 'local',
  ENOBUFS: 'local',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'reset',
};

/** Pure: of an error of undici or of node:net. */
export function failureOf(error: unknown): Failure {
  const code = codeOf(error);
  // Not every one of undici's parser errors has a code.
  if (code.startsWith('HPE_') || (error instanceof Error && error.name === 'HTTPParserError')) return 'garbled';
  return BY_CODE[code] ?? 'other';
}

function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '';
  const { code, cause } = error as { code?: unknown; cause?: unknown };
  // undici tells a cut connection by a code of its own; what the kernel said is its cause.
  if (code === 'UND_ERR_SOCKET' && cause !== undefined && codeOf(cause) in BY_CODE) return codeOf(cause);
  return typeof code === 'string' ? code : '';
}
