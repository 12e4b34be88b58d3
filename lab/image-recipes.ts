/** The images that a lab can have. */
export interface ImageRecipe {
  /** A line for the help. */
  about: string;
  /** Debian packages over busybox, which every image has. */
  packages: readonly string[];
  /** Files of lab/images, and their places in the image; all are executable. */
  files: Readonly<Record<string, string>>;
  /** Dockerfile instructions. */
  changes: readonly string[];
}

export const IMAGE_RECIPES: Readonly<Record<string, ImageRecipe>> = {
  counter: {
    about: 'counts every 0.1 s: to its output, to /data/count and by HTTP on port 80',
    packages: [],
    files: { 'counter.sh': 'bin/counter' },
    changes: ['CMD ["counter"]', 'EXPOSE 80', 'WORKDIR /data'],
  },
};
