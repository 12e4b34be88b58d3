/** One result of preflight. */
export interface Finding {
  /** Stable, in SCREAMING_SNAKE_CASE: programs may test it. */
  code: string;
  /** `blocks` the move, `costs` something that the user should know beforehand, or is a `note`. */
  severity: 'blocks' | 'costs' | 'note';
  /** What was found, naming the thing. */
  message: string;
  /** What it means. */
  meaning: string;
  /** What to do about it. */
  remedy: string;
}
