/** What is not compared, and why: this list is part of what a score means. */

interface Exclusion {
  why: string;
  /** Of whole paths. */
  form: RegExp;
}

const EXCLUSIONS: readonly Exclusion[] = [
  {
    why: 'made by the engine for every container',
    form: /^\/(?:\.dockerenv|dev(?:\/.*)?|proc(?:\/.*)?|sys(?:\/.*)?|etc\/(?:hostname|hosts|resolv\.conf|mtab))$/,
  },
  { why: 'processes at work', form: /^\/(?:run|var\/run)\/.*/ },
  {
    why: 'caches',
    form: /^\/(?:var\/cache\/.*|var\/lib\/apt\/lists(?:\/.*)?|etc\/ld\.so\.cache|var\/lib\/apt\/(?:extended_states|periodic\/.*)|(?:root|home\/[^/]+)\/\.(?:cache|npm)(?:\/.*)?)$/,
  },
  { why: 'caches', form: /\/__pycache__(?:\/.*)?$|\.pyc$/ },
  { why: 'logs', form: /^\/var\/log\/.*/ },
  {
    why: 'older versions of the package database',
    form: /^\/var\/(?:lib\/dpkg\/(?:.*-old|lock.*|triggers\/Lock|available.*)|lib\/dpkg\/info\/\.\S*|backups\/.*)$|^\/etc\/(?:passwd|group|shadow|gshadow|subuid|subgid)-$|^\/etc\/\.pwd\.lock$/,
  },
  {
    why: 'histories that shells and programs keep of what was typed',
    form: /\/\.(?:bash_history|zsh_history|zhistory|ash_history|sh_history|python_history|node_repl_history|mysql_history|psql_history|sqlite_history|rediscli_history|viminfo|lesshst|wget-hsts|viminfo\.tmp|zcompdump.*|sudo_as_admin_successful)$|\/\.local\/share\/nano(?:\/.*)?$|\/\.local\/state\/.*$/,
  },
];

/** Why a path is left out; undefined where it counts. */
export function exclusionOf(path: string): string | undefined {
  return EXCLUSIONS.find(({ form }) => form.test(path))?.why;
}
