/** One GET request, to the end of its answer; undici's dispatch, without what fetch puts around it. */
import type { Client } from 'undici';

export interface GetResult {
  /** 0 where no answer came. */
  status: number;
  /** Whether the connection may be used again. */
  keepsAlive: boolean;
  /** Why there is no whole answer; a TimeoutError where the deadline was over. */
  error?: Error;
}

export interface GetOptions {
  headers?: Record<string, string>;
  /** Ask the server to close the connection afterwards. */
  close?: boolean;
  signal?: AbortSignal;
}

/** Never rejects. The client is destroyed where the deadline or the signal cut it short. */
export function get(client: Client, url: URL, deadlineMs: number, options: GetOptions = {}): Promise<GetResult> {
  const { headers = {}, close = false, signal } = options;
  return new Promise((resolve) => {
    const result: GetResult = { status: 0, keepsAlive: false };
    const giveUp = (reason: Error) => {
      end(reason);
      client.destroy(reason).catch(() => {});
    };
    const abort = () => giveUp(signal?.reason instanceof Error ? signal.reason : new Error('aborted'));
    const timer = setTimeout(() => {
      giveUp(
        Object.assign(new Error(`no answer within ${deadlineMs} ms`), { name: 'TimeoutError', code: 'ETIMEDOUT' }),
      );
    }, deadlineMs);
    const end = (error?: Error) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      resolve(error === undefined ? result : { ...result, error });
    };
    if (signal?.aborted) return abort();
    signal?.addEventListener('abort', abort, { once: true });
    const request = { path: `${url.pathname}${url.search}`, method: 'GET', headers, reset: close } as const;
    client.dispatch(request, {
      onRequestStart: () => {},
      onResponseData: () => {},
      onResponseStart(_, status, answer) {
        if (status < 200) return;
        result.status = status;
        result.keepsAlive = String(answer.connection ?? 'keep-alive').toLowerCase() !== 'close';
      },
      onResponseEnd: () => end(),
      onResponseError: (_, error) => end(error),
    });
  });
}
