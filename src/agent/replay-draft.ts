/** What a replay would do: the Dockerfile with its files, and what speaks against it. Nothing is touched. */
import { machine } from 'node:os';
import { surveyDocker } from '../engines/docker/survey.ts';
import type { HostFacts } from '../engines/facts.ts';
import { parseWorkload } from '../migration/survey.ts';
import { draftOfContainer } from '../replay/draft.ts';
import { baseFor, targetFindings } from '../replay/move/check.ts';
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
  const target = to === undefined ? undefined : await surveyOf(dialTarget, to);
  const from = target === undefined ? facts.image.id : baseFor(facts, target, machine());
  const inspect = facts.inspect as ContainerInspect;
  const { dockerfile, context, findings, commands } = await draftOfContainer(
    docker,
    inspect,
    { ...options, signal },
    from,
  );
  if (target !== undefined) findings.push(...targetFindings(facts, target, { start, arch: machine() }));
  const files = [...context].map(([name, { content, ...rest }]) => ({
    name,
    content: content.toString('base64'),
    ...rest,
  }));
  return { dockerfile, files, findings, commands };
}

async function surveyOf(dialTarget: (to: string) => Promise<Target>, to: string): Promise<HostFacts> {
  const target = await dialTarget(to);
  return target.survey().finally(() => target.close());
}
