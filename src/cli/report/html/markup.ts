/** Text as part of HTML and SVG. */

export function escapeMarkup(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? '');
}

/** A coordinate, short. */
export function at(value: number): string {
  return String(Math.round(value * 10) / 10);
}
