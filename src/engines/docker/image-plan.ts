/** Pure: whether an image must be sent, and by which name the copy is created. */
import type { HostFacts, WorkloadFacts } from '../facts.ts';

export interface ImagePlan {
  id: string;
  /** False where the target has the image. */
  load: boolean;
  /** Tags to give on the target with the load; none of them is in use there. */
  tags: string[];
  /** `Image` of the copy: the name the source's was created by, where it means the same image on the target. */
  reference: string;
}

/** No tag of the target is ever moved: where it names another image there, the copy is created by the image's id. */
export function planImage(image: WorkloadFacts['image'], target: HostFacts): ImagePlan {
  const images = target.docker?.images ?? [];
  const taken = new Map(images.flatMap(({ id, tags }) => tags.map((tag) => [tag, id] as const)));
  const load = !images.some(({ id }) => id === image.id);
  // An image that is there is left as it is: an undo could not tell its tags from its own.
  const tags = load ? image.tags.filter((tag) => !taken.has(tag)) : [];
  const tag = familiarTag(image.reference);
  const sameTag = taken.get(tag) === image.id || tags.includes(tag);
  return {
    id: image.id,
    load,
    tags,
    reference: sameTag || isIdOf(image.reference, image.id) ? image.reference : image.id,
  };
}

/** A reference as the engine lists it: `docker.io/library/redis` is `redis:latest`. */
export function familiarTag(reference: string): string {
  const short = reference.replace(/^(index\.)?docker\.io\//, '').replace(/^library\//, '');
  return /:[^/]*$/.test(short) ? short : `${short}:latest`;
}

function isIdOf(reference: string, id: string): boolean {
  const hex = reference.replace(/^sha256:/, '');
  return /^[0-9a-f]{4,64}$/.test(hex) && id.replace(/^sha256:/, '').startsWith(hex);
}
