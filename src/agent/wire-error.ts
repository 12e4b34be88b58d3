/** Errors on their way between agents: a DrayageError goes in, and the same comes out at the other end. */
import { z } from 'zod';
import { DrayageError, ERRORS, type ErrorCode, type SerializedError } from '../errors.ts';

export const wireErrorSchema = z.object({
  code: z.string().max(64),
  message: z.string(),
  meaning: z.string(),
  remedy: z.string(),
  /** Message of what caused it. */
  cause: z.string().optional(),
});
export type WireError = SerializedError & { cause?: string | undefined };

export function toWire(thrown: unknown): WireError {
  const error = DrayageError.from(thrown);
  const cause = error.cause instanceof Error ? error.cause.message : undefined;
  return { ...error.toJSON(), ...(cause === undefined || cause === error.message ? {} : { cause }) };
}

/** Total: what is no error of ours becomes AGENT_PROTOCOL, and a code that only another version knows INTERNAL. */
export function fromWire(data: unknown): DrayageError {
  const parsed = wireErrorSchema.safeParse(data);
  if (!parsed.success) {
    return new DrayageError('AGENT_PROTOCOL', 'The other side failed without saying why.', { cause: parsed.error });
  }
  const { code, message, meaning, remedy, cause } = parsed.data;
  const known: ErrorCode = code in ERRORS ? (code as ErrorCode) : 'INTERNAL';
  return new DrayageError(known, message, {
    meaning,
    remedy,
    cause: cause === undefined ? undefined : new Error(cause),
  });
}
