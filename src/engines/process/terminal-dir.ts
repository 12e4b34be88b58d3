/** Terminals that restored processes are on: a directory each, gone with a reboot as they are. */
export const TERMINAL_DIR = '/run/drayage/terminals';
