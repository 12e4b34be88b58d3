/** ip of iproute2: which networks a host is on and has routes to. */
import { ProgramError, type Run } from '../exec/run.ts';

/** Subnets of all addresses and routes, `10.0.0.0/8`, without loopback, link-local ones and the default routes. */
export async function hostSubnets(run: Run, signal: AbortSignal): Promise<string[]> {
  try {
    const tables = await Promise.all([
      run('ip', ['-json', '-4', 'route', 'show'], { signal, timeoutMs: 10_000 }),
      run('ip', ['-json', '-6', 'route', 'show'], { signal, timeoutMs: 10_000 }),
    ]);
    return parseRoutes(tables.map(({ stdout }) => stdout));
  } catch (error) {
    // Without ip there is nothing to compare with; preflight says that it is missing.
    if (error instanceof ProgramError) return [];
    throw error;
  }
}

/** The kernel makes a route for the subnet of every address, so routes tell of both. */
export function parseRoutes(tables: readonly string[]): string[] {
  const routes = tables.flatMap((text) =>
    text.trim() === '' ? [] : (JSON.parse(text) as { dst: string; dev?: string }[]),
  );
  const subnets = routes
    .filter(({ dst, dev }) => dst !== 'default' && dev !== 'lo' && !/^(fe80:|ff|169\.254\.)/.test(dst))
    .map(({ dst }) => (dst.includes('/') ? dst : `${dst}/${dst.includes(':') ? 128 : 32}`));
  return [...new Set(subnets)].sort();
}
