/** What a replay would do: the Dockerfile with its files, and what speaks against it. Nothing is touched. */
import { machine } from 'node:os';
import { surveyDocker } from '../engines/docker/survey.ts';
import { parseWorkload } from '../migration/survey.ts';
import { draftOfContainer } from '../replay/draft.ts';
import { targetFindings } from '../replay/move/check.ts';
import type { Docker } from '../tools/docker.ts';
import type { ContainerInspect } from '../tools/docker-types.ts';
import type { AgentProtocol } from './agent-protocol.ts';
import type { Params, Result } from './protocol.ts';
import type { Target } from './remote-target.ts';

export async function draftReplay(
  docker: Docker,
  dialTarget: (to: string) => Promise<Target>,
  { workload, to, start, options }: Params<AgentProtocol, 'replays.draft'>,
  signal: AbortSignal,
): Promise<Result<AgentProtocol, 'replays.draft'>> {
  const facts = await surveyDocker(docker, parseWorkload(workload).name, { signal });
  const { dockerfile, context, findings, commands } = await draftOfContainer(
    docker,
    facts.inspect as ContainerInspect,
    {
      ...options,
      signal,
    },
  );
  if (to !== undefined) {
    const target = await dialTarget(to);
    const host = await target.survey().finally(() => target.close());
    findings.push(...targetFindings(facts, host, { start, arch: machine() }));
  }
  const files = [...context].map(([name, { content, ...rest }]) => ({
    name,
    content: content.toString('base64'),
    ...rest,
  }));
  return { dockerfile, files, findings, commands };
}
