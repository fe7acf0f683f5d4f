// Keeps a map as a world, with a small picture for lists. It is drawn here, since the gateway draws nothing and a job for
// one picture would take longer than the save.

import { saveThumbnail, saveWorld, type Asset } from "../api";
import { portrait } from "./camera";
import type { BlockMap } from "./map";

const [WIDTH, HEIGHT] = [400, 300]; // a tile's, at two pixels each

/** `text` is the map.json of `map`; `made_from`: the world that it is a version of. */
export async function keepWorld(text: string, map: BlockMap, about: { name: string; made_from?: string }): Promise<Asset> {
  const asset = await saveWorld(text, about);
  await thumbnailOf(map)
    .then((png) => saveThumbnail(asset.id, png))
    .catch(() => undefined); // the world is kept: lists show its name's first letter
  return asset;
}

async function thumbnailOf(map: BlockMap): Promise<Uint8Array<ArrayBuffer>> {
  const { Photographer } = await import("./viewer");
  const photographer = new Photographer(map);
  try {
    return await photographer.draw(portrait(map, WIDTH / HEIGHT).camera, WIDTH, HEIGHT);
  } finally {
    photographer.dispose();
  }
}
