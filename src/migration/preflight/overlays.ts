/** Whether the target's overlays read what those of the source have written into the writable layer. */
import type { Finding } from '../finding.ts';
import type { Case } from './case.ts';
import { type Entry, raising } from './finding-table.ts';

export function checkOverlays({ name, source, target }: Case): Finding[] {
  const there = target.hostname;
  return [
    ...(source.docker?.metacopy === true && target.docker?.metacopy === false
      ? [
          raise(
            'OVERLAY_METACOPY',
            `${name} may have files whose content only overlays with metacopy find; ${there} has none.`,
          ),
        ]
      : []),
    ...(source.overlay.redirects && !target.overlay.follows
      ? [raise('OVERLAY_REDIRECTS', `${name} may have renamed directories, which overlays on ${there} do not find.`)]
      : []),
  ];
}

export const OVERLAY_FINDINGS = {
  OVERLAY_METACOPY: {
    severity: 'blocks',
    meaning:
      'With metacopy a file whose owner or mode was changed has no content of its own in the writable layer; other overlays refuse to look for it in the layers below.',
    remedy:
      'Turn it on on the target (echo Y >/sys/module/overlay/parameters/metacopy) and restart Docker there; or turn it off on the source, and create the container again.',
  },
  OVERLAY_REDIRECTS: {
    severity: 'blocks',
    meaning:
      'With redirect_dir a renamed directory of the image is only a note in the writable layer, and the target was told not to follow such notes.',
    remedy: 'Turn it on on the target: echo Y >/sys/module/overlay/parameters/redirect_always_follow.',
  },
} as const satisfies Record<string, Entry>;

const raise = raising(OVERLAY_FINDINGS);
