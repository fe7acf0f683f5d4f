// A map as binary glTF: one unlit mesh a chunk, in world units.

import { GLTFExporter } from "three/addons/exporters/GLTFExporter.js";
import { toWorld } from "./camera";
import type { BlockMap } from "./map";
import { Blocks } from "./viewer";

export async function glbOf(map: BlockMap): Promise<Blob> {
  const blocks = new Blocks(map);
  blocks.group.scale.setScalar(map.worldScale);
  blocks.group.position.set(...toWorld(map, [0, 0, 0]));
  try {
    const glb = await new GLTFExporter().parseAsync(blocks.group, { binary: true });
    return new Blob([glb as ArrayBuffer], { type: "model/gltf-binary" });
  } finally {
    blocks.dispose();
  }
}
