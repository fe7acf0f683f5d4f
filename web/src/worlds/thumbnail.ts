// A small picture of a map as PNG: drawn here when it is saved, since the gateway draws nothing and a job for one picture
// would take longer than the save.

import { orbit } from "./camera";
import type { BlockMap } from "./map";

export const SIDE = 256;

export async function thumbnailOf(map: BlockMap): Promise<Uint8Array<ArrayBuffer>> {
  const { Photographer } = await import("./viewer");
  const photographer = new Photographer(map);
  try {
    return await photographer.draw(orbit(map, 32, 26), SIDE);
  } finally {
    photographer.dispose();
  }
}
