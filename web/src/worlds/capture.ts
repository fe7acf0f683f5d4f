// A set of pictures of a map from all around, with the cameras that took them: metadata.json and a PNG a view.

import { zipSync } from "fflate";
import * as cameras from "./camera";
import type { BlockMap } from "./map";

/** Heights from which views are taken in turn, in degrees: walls, roofs, and what lies between. */
const ELEVATIONS_DEG = [15, 35, 55];

/** `count` cameras around a map, at even steps of azimuth. */
export const viewsAround = (map: BlockMap, count: number): cameras.Camera[] =>
  Array.from({ length: count }, (_, i) => cameras.orbit(map, (360 * i) / count, ELEVATIONS_DEG[i % ELEVATIONS_DEG.length]!));

const nameOf = (index: number): string => String(index).padStart(4, "0");

/** What metadata.json says of square pictures of `side` pixels. */
export function metadata(map: BlockMap, views: readonly cameras.Camera[], side: number) {
  const at = new Date().toISOString();
  const [x, y, z] = map.size;
  const far = cameras.farOf(map);
  const projection = cameras.projectionMatrix(1, far);
  return {
    formatVersion: "1.0",
    exportedAt: at,
    imageSize: { width: side, height: side },
    viewCount: views.length,
    captureId: map.captureId,
    world: { dimensions: { x, y, z }, worldScale: map.worldScale },
    views: views.map((camera, index) => {
      const view = cameras.viewMatrix(map, camera);
      return {
        id: `view-${nameOf(index)}`,
        index,
        capturedAt: at,
        position: cameras.toWorld(map, camera.eye),
        forward: camera.forward,
        up: camera.up,
        right: camera.right,
        intrinsics: { fovYDegrees: cameras.FOVY_DEG, aspect: 1, near: cameras.NEAR, far },
        viewMatrix: view,
        projectionMatrix: projection,
        viewProjectionMatrix: cameras.product(projection, view),
        rgbPath: `rgb_${nameOf(index)}.png`,
        depthPath: null,
        normalPath: null,
      };
    }),
  };
}

/** The set as a zip. `draw` takes a picture as PNG. */
export async function captureSet(
  map: BlockMap,
  count: number,
  side: number,
  draw: (camera: cameras.Camera, side: number) => Promise<Uint8Array<ArrayBuffer>>,
): Promise<Blob> {
  const views = viewsAround(map, count);
  const described = metadata(map, views, side);
  const files: Record<string, Uint8Array> = { "metadata.json": new TextEncoder().encode(JSON.stringify(described, null, 1)) };
  for (const [i, camera] of views.entries()) files[described.views[i]!.rgbPath] = await draw(camera, side);
  return new Blob([zipSync(files, { level: 0 })], { type: "application/zip" }); // PNGs are compressed
}
