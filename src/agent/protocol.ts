/** What two ends may say to each other, as tables of zod schemas: checked at the border in both directions. */
import type { z } from 'zod';
import { DrayageError } from '../errors.ts';

export interface Protocol {
  /** Parameters are objects. */
  methods: Record<string, { params: z.ZodType; result: z.ZodType }>;
  notifications: Record<string, z.ZodType>;
}

/**
 * @example
 * const protocol = defineProtocol({
 *   methods: { 'workloads.list': { params: z.object({}), result: z.array(workloadSchema) } },
 *   notifications: { event: eventSchema },
 * });
 */
export function defineProtocol<const P extends Protocol>(protocol: P): P {
  return protocol;
}

export type Method<P extends Protocol> = keyof P['methods'] & string;
export type Notification<P extends Protocol> = keyof P['notifications'] & string;
/** As the caller gives them. */
export type Params<P extends Protocol, M extends Method<P>> = z.input<P['methods'][M]['params']>;
/** As the caller gets it. */
export type Result<P extends Protocol, M extends Method<P>> = z.output<P['methods'][M]['result']>;

/** `signal` aborts when the caller cancels or the connection ends; its reason is a DrayageError. */
interface CallContext<C> {
  connection: C;
  signal: AbortSignal;
}

/** What one end does for the other. A method without a handler is answered with an error. */
export type Handlers<P extends Protocol, C> = {
  [M in Method<P>]?: (
    params: z.output<P['methods'][M]['params']>,
    context: CallContext<C>,
  ) => Promise<z.input<P['methods'][M]['result']>> | z.input<P['methods'][M]['result']>;
};

/** What `schema` makes of a value. @throws DrayageError `code`: INTERNAL for our own words, AGENT_PROTOCOL for theirs */
export function check(schema: z.ZodType, value: unknown, what: string, code: 'INTERNAL' | 'AGENT_PROTOCOL'): unknown {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const where = issue === undefined || issue.path.length === 0 ? '' : ` at ${issue.path.join('.')}`;
  throw new DrayageError(code, `Not valid as ${what}${where}: ${issue?.message}.`, { cause: parsed.error });
}
