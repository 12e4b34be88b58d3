/** Staging areas, one for each migration and side: tmpfs mounts, since memory images hold secrets. */
export const STAGE_DIR = '/run/drayage/stage';
