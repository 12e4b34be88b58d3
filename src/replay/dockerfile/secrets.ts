/** Tokens, passwords and keys in what was typed, printed or written to a file. */

/** The secret is the last group that matched, else all of it. */
const FORMS: readonly RegExp[] = [
  /\bAKIA[0-9A-Z]{16}\b/,
  /\bgh[pousr]_[A-Za-z0-9]{30,}\b/,
  /\bgithub_pat_\w{30,}\b/,
  /\bglpat-[\w-]{18,}/,
  /\bxox[abprs]-[\w-]{10,}/,
  /\bsk-(?:[a-z]+-)*[A-Za-z0-9_-]{20,}/,
  /\bnpm_[A-Za-z0-9]{30,}\b/,
  /\bAIza[\w-]{35}\b/,
  /\bdckr_pat_[\w-]{20,}/,
  /\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}/,
  /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----(?:[\s\S]*?-----END (?:[A-Z]+ )*PRIVATE KEY-----|[\s\S]*)/,
  /\b[a-z][a-z0-9+.-]*:\/\/[^\s/:@'"]*:([^\s/@'"]{3,})@/i,
  /\bAuthorization: *(?:Basic|Bearer|token) +([^\s'"]{6,})/i,
  /(?:^|[\s;'"_A-Za-z0-9-])(?:pass(?:word|wd|phrase)?|pwd|secret|token|api_?key|access_?key|private_?key|credentials?)["']?\s*[=:]\s*["']?([^\s"'$;&|(){}<>,]{4,})/i,
  /\s--?(?:password|passwd|token|secret|api-?key|access-key|secret-key)[ =]["']?([^\s"'$;&|-][^\s"'$;&|]{3,})/i,
  /\b(?:mysql|mysqldump|mariadb)\b.*\s-p([^\s"'$]{3,})/,
  /\bcurl\b.*\s(?:-u|--user)[ =]?["']?[^\s:"']+:([^\s"'$]{3,})/,
  /\becho\s+(?:-\w+\s+)?["']?[\w.-]+:([^\s"'$|]{3,})["']?\s*\|\s*chpasswd/,
  /\bsshpass\s+-p\s*["']?([^\s"'$]{3,})/,
];

/** Words in the place of a secret that are none. */
const NO_SECRET =
  /^(?:true|false|yes|no|none|null|undefined|required|changed|expired|file|prompt|x+|\*+|\.\.\.|<.*>|\/\S*|\$.*)$/i;

/** The secrets in a text; empty where there are none. */
export function secretsIn(text: string): string[] {
  const found = new Set<string>();
  for (const form of FORMS) {
    for (const match of text.matchAll(new RegExp(form, `${form.flags}g`))) {
      const secret = match.findLast((group) => group !== undefined) ?? match[0];
      if (!NO_SECRET.test(secret)) found.add(secret);
    }
  }
  return [...found];
}

/** The text with each of its secrets, and those in `others`, as stars. */
export function withoutSecrets(text: string, others: Iterable<string> = []): string {
  let clean = text;
  for (const secret of [...secretsIn(text), ...others]) clean = clean.replaceAll(secret, '***');
  return clean;
}
