import type { Samples } from '../samples.ts';
import type { Summary } from '../summarise.ts';

export interface ReportData {
  title: string;
  summary: Summary;
  samples: Samples;
}

export function htmlReport({ title }: ReportData): string {
  return title;
}
