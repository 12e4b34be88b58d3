/** Pure: what an export costs because its target is an archive. */
import type { Finding } from '../finding.ts';
import { type Entry, raising } from '../preflight/finding-table.ts';

/** @param isStream it goes to standard output */
export function checkStream(name: string, isStream: boolean, leaveRunning = false): Finding[] {
  if (!isStream || leaveRunning) return [];
  return [raise('STREAM_UNSEEN', `${name} is stopped for good when the pipe has taken the last byte of its archive.`)];
}

const EXPORT_FINDINGS = {
  STREAM_UNSEEN: {
    severity: 'costs',
    meaning: 'What becomes of the archive behind the pipe drayage cannot see: where it is lost, so is the workload.',
    remedy: 'Write it to a file first, or take a snapshot, which leaves the workload running.',
  },
} as const satisfies Record<string, Entry>;

const raise = raising(EXPORT_FINDINGS);
