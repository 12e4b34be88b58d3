import { expect, it } from 'vitest';
import { ProgramError, type Run } from '../exec/run.ts';
import { parseConntrack, trackedFlows } from './conntrack.ts';

const PROC = `ipv4     2 tcp      6 299 ESTABLISHED src=10.9.0.9 dst=10.9.0.1 sport=34770 dport=8080 src=172.31.9.10 dst=10.9.0.9 sport=80 dport=34770 [ASSURED] mark=0 zone=0 use=2
ipv6     10 tcp      6 300 ESTABLISHED src=fd09:0000:0000:0000:0000:0000:0000:0009 dst=fd09:0000:0000:0000:0000:0000:0000:0001 sport=57952 dport=8080 src=fd31:0000:0000:0000:0000:0000:0000:0010 dst=fd09:0000:0000:0000:0000:0000:0000:0009 sport=80 dport=57952 [ASSURED] mark=0 zone=0 use=2
ipv4     2 udp      17 29 src=10.9.0.9 dst=10.9.0.1 sport=60275 dport=5353 src=172.31.9.10 dst=10.9.0.9 sport=53 dport=60275 mark=0 zone=0 use=2
ipv4     2 icmp     1 29 src=10.9.0.9 dst=10.9.0.1 type=8 code=0 id=7 src=10.9.0.1 dst=10.9.0.9 type=0 code=0 id=7 mark=0 zone=0 use=2
`;
const CONNTRACK = `tcp      6 112 SYN_SENT src=172.31.9.10 dst=10.9.0.9 sport=60526 dport=80 [UNREPLIED] src=10.9.0.9 dst=10.9.0.1 sport=80 dport=60526 mark=0 use=1
`;

it('parseConntrack reads both kinds of lines, and shortens addresses', () => {
  const [tcp, tcp6, udp, none] = parseConntrack(PROC);
  expect(tcp).toEqual({
    protocol: 'tcp',
    state: 'ESTABLISHED',
    original: { source: '10.9.0.9', destination: '10.9.0.1', sourcePort: 34770, destinationPort: 8080 },
    reply: { source: '172.31.9.10', destination: '10.9.0.9', sourcePort: 80, destinationPort: 34770 },
  });
  expect(tcp6?.reply.source).toBe('fd31::10');
  expect(udp).toMatchObject({ protocol: 'udp', state: '' });
  expect(none).toBeUndefined();
  for (const over of ['TIME_WAIT', 'CLOSE']) {
    expect(parseConntrack(PROC.replaceAll('ESTABLISHED', over)).map(({ protocol }) => protocol)).toEqual(['udp']);
  }
  expect(parseConntrack(CONNTRACK)).toMatchObject([{ state: 'SYN_SENT', original: { sourcePort: 60526 } }]);
});

const ok = { stderr: '', code: 0, ms: 1 };

it('trackedFlows sifts /proc for addresses as they are written there', async () => {
  const asked: string[] = [];
  const run: Run = async (program, args) => {
    asked.push([program, ...args].join(' '));
    return { ...ok, stdout: PROC };
  };
  expect(await trackedFlows(run, ['172.31.9.10', 'fd31::10'])).toHaveLength(3);
  expect(asked[0]).toContain('-e src=172.31.9.10  -e dst=172.31.9.10 ');
  expect(asked[0]).toContain('src=fd31:0000:0000:0000:0000:0000:0000:0010 ');
});

it('trackedFlows asks conntrack where /proc has no such file, and says so where there is neither', async () => {
  const withConntrack: Run = async (program, args) =>
    program === 'grep' ? { ...ok, code: 2, stdout: '' } : { ...ok, stdout: args.includes('ipv4') ? CONNTRACK : '' };
  expect(await trackedFlows(withConntrack, ['172.31.9.10'])).toHaveLength(1);
  const without: Run = async (program) => {
    if (program === 'grep') return { ...ok, code: 2, stdout: '' };
    throw new ProgramError('conntrack', 'cannot be started', null, '', '');
  };
  expect(await trackedFlows(without, ['172.31.9.10'])).toBeNull();
});
