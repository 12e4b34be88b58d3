/** Networks that every Docker has, and that are never to be made. */
export const PREDEFINED_NETWORKS: readonly string[] = ['bridge', 'default', 'host', 'none'];
