/** Findings of preflight and errors, as people read them. */
import type { SerializedError } from '../../errors.ts';
import type { Finding } from '../../migration/finding.ts';
import { type Look, printable, wrap } from './style.ts';

const ORDER = { blocks: 0, costs: 1, note: 2 } as const;

/** The most serious first; the empty string where there are none. */
export function renderFindings(findings: readonly Finding[], { style, width }: Look): string {
  const mark = { blocks: style.red('blocks'), costs: style.yellow('costs '), note: style.cyan('note  ') };
  return [...findings]
    .sort((a, b) => ORDER[a.severity] - ORDER[b.severity])
    .map((finding) => {
      const indent = '        ';
      const title = wrap(`${finding.message} (${finding.code})`, width, indent).trimStart();
      const rest = [finding.meaning, finding.remedy].filter((text) => text !== '');
      const lines = rest.map((text) => style.dim(wrap(text, width, indent)));
      return `${[`${mark[finding.severity]}  ${title}`, ...lines].join('\n')}\n`;
    })
    .join('');
}

/** `error CODE: what happened`, what it means, what to do. */
export function renderError(error: SerializedError, { style, width }: Look): string {
  const lines = [`${style.red(style.bold('error'))} ${style.bold(error.code)}: ${printable(error.message)}`];
  if (error.meaning !== '') lines.push(wrap(error.meaning, width, '  '));
  if (error.remedy !== '') lines.push(wrap(`-> ${error.remedy}`, width, '  '));
  return `${lines.join('\n')}\n`;
}
