/** The images that a lab can have: most are a layer of busybox, which all share, and one of their own. */
export interface ImageRecipe {
  /** A line for the help. */
  about: string;
  packages: readonly string[];
  /** A whole Debian instead, with apt and a repository of these packages in /srv/repository. */
  repository?: readonly string[];
  /** Files of lab/images, and their places in the image. */
  files: Readonly<Record<string, string>>;
  config: ImageConfig;
}

/** What Docker is told of the image, in the words of the OCI image specification. */
export interface ImageConfig {
  Cmd: readonly string[];
  ExposedPorts: Readonly<Record<string, object>>;
  WorkingDir?: string;
  StopSignal?: string;
}

export const IMAGE_RECIPES: Readonly<Record<string, ImageRecipe>> = {
  counter: {
    about: 'counts every 0.1 s: to its output, to /data/count and by HTTP on port 80',
    packages: [],
    files: { 'counter.sh': 'usr/bin/counter' },
    config: { Cmd: ['counter'], ExposedPorts: { '80/tcp': {} }, WorkingDir: '/data' },
  },
  redis: {
    about: 'redis-server without persistence on port 6379, with redis-cli and redis-benchmark',
    packages: ['redis-server', 'redis-tools'],
    files: {},
    config: {
      Cmd: ['redis-server', '--bind', '0.0.0.0', '--protected-mode', 'no', '--save', '', '--dir', '/data'],
      ExposedPorts: { '6379/tcp': {} },
      WorkingDir: '/data',
    },
  },
  nginx: {
    about: 'nginx with one page on port 80',
    packages: ['nginx'],
    files: { 'nginx.conf': 'etc/nginx/lab.conf', 'index.html': 'var/www/index.html' },
    config: { Cmd: ['nginx', '-c', '/etc/nginx/lab.conf'], ExposedPorts: { '80/tcp': {} }, StopSignal: 'SIGQUIT' },
  },
  web: {
    about: 'web.py: HTTP on port 80, an echo of lines on port 7, a count for each connection on port 13',
    packages: ['python3'],
    files: { 'web.py': 'usr/bin/web.py' },
    config: { Cmd: ['web.py'], ExposedPorts: { '80/tcp': {}, '7/tcp': {}, '13/tcp': {} } },
  },
  memory: {
    about: 'mem.py MB [HZ]: holds memory, changes HZ pages a second and checks each; counts by HTTP on port 80',
    packages: ['python3-minimal'],
    files: { 'mem.py': 'usr/bin/mem.py' },
    config: { Cmd: ['mem.py', '64', '100'], ExposedPorts: { '80/tcp': {} } },
  },
  python: {
    about: 'Python with its standard library, for programs of any kind',
    packages: ['python3'],
    files: {},
    config: { Cmd: ['python3'], ExposedPorts: {} },
  },
  terminal: {
    about: 'Debian to work in: bash, dash, zsh, vim, nano, less, top, Python, apt with packages of its own',
    packages: ['zsh', 'vim-tiny', 'nano', 'less', 'procps', 'python3-minimal'],
    repository: ['vim', 'tree', 'jq', 'sudo', 'file'],
    files: { zshrc: 'root/.zshrc' },
    config: { Cmd: ['bash'], ExposedPorts: {} },
  },
};
