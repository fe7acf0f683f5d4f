// A small picture of a map as PNG: drawn here when it is saved, since the gateway draws nothing and a job for one picture
// would take longer than the save.

import { portrait } from "./camera";
import type { BlockMap } from "./map";

const [WIDTH, HEIGHT] = [400, 300]; // a tile's, at two pixels each

export async function thumbnailOf(map: BlockMap): Promise<Uint8Array<ArrayBuffer>> {
  const { Photographer } = await import("./viewer");
  const photographer = new Photographer(map);
  try {
    return await photographer.draw(portrait(map, WIDTH / HEIGHT).camera, WIDTH, HEIGHT);
  } finally {
    photographer.dispose();
  }
}
