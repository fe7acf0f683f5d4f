import { unzipSync } from "fflate";
import { describe, expect, it } from "vitest";
import * as cameras from "../../src/worlds/camera";
import { captureSet, metadata, viewsAround } from "../../src/worlds/capture";
import { at, meadow, type Cell } from "../../src/worlds/map";

const map = meadow([16, 12, 20]);
const through = (matrix: number[], [x, y, z]: Cell): number[] =>
  [0, 1, 2, 3].map((i) => matrix[i]! * x + matrix[i + 4]! * y + matrix[i + 8]! * z + matrix[i + 12]!);

describe("cameras", () => {
  it("see the middle of the map in the middle of the picture, upright", () => {
    for (const azimuth of [0, 77, 200]) {
      const camera = cameras.orbit(map, azimuth, 20);
      const middle = through(cameras.viewMatrix(map, camera), cameras.toWorld(map, [8, 6, 10]));
      const distance = (2 * Math.hypot(8, 6, 10)) / Math.sin(Math.PI / 6);
      expect(middle).toEqual([expect.closeTo(0), expect.closeTo(0), expect.closeTo(-distance), 1]);
      expect(camera.up[1]).toBeGreaterThan(0.9);
    }
    expect(cameras.orbit(map, 0, 90)).toMatchObject({ right: [1, 0, 0], up: [expect.closeTo(0), expect.closeTo(0), expect.closeTo(-1)] });
  });

  it("lie before +z at azimuth 0 and before +x at 90, in world units", () => {
    const [x, y, z] = cameras.toWorld(map, cameras.orbit(map, 0, 0).eye);
    expect([x, y]).toEqual([expect.closeTo(0), 12]);
    expect(z).toBeGreaterThan(40);
    expect(cameras.orbit(map, 90, 0).forward).toEqual([-1, expect.closeTo(0), expect.closeTo(0)]);
  });

  it("take a portrait of what is built, whole and large, in any shape of picture", () => {
    const hut = meadow([64, 32, 64]);
    hut.blocks.fill(0);
    for (const cell of [[20, 0, 30], [29, 5, 41]] as Cell[]) hut.blocks[at(hut, cell)] = 3;
    for (const aspect of [0.5, 1, 1.6]) {
      const { camera, target } = cameras.portrait(hut, aspect);
      expect(Math.hypot(target[0] - 25, target[1] - 3, target[2] - 36)).toBeLessThan(3);
      const matrix = cameras.product(cameras.projectionMatrix(aspect, 500), cameras.viewMatrix(hut, camera));
      const reach = [20, 30].flatMap((x) => [0, 6].flatMap((y) => [30, 42].flatMap((z) => {
        const [u, v, , w] = through(matrix, cameras.toWorld(hut, [x, y, z])) as [number, number, number, number];
        return [Math.abs(u / w), Math.abs(v / w)];
      })));
      expect(Math.max(...reach)).toBeLessThan(1);
      expect(Math.max(...reach)).toBeGreaterThan(0.85);
    }
  });

  it("project near and far to clip z -1 and 1, and half the height at 30 degrees to 1", () => {
    const matrix = cameras.projectionMatrix(2, 500);
    const clip = (point: Cell): number[] => {
      const [x, y, z, w] = through(matrix, point) as [number, number, number, number];
      return [x / w, y / w, z / w];
    };
    expect(clip([0, 0, -cameras.NEAR])[2]).toBeCloseTo(-1);
    expect(clip([0, 0, -500])[2]).toBeCloseTo(1);
    expect(clip([2 * Math.tan(Math.PI / 6), Math.tan(Math.PI / 6), -1]).slice(0, 2)).toEqual([expect.closeTo(1), expect.closeTo(1)]);
  });
});

describe("a capture set", () => {
  it("has a picture for each of the views that its metadata describes", async () => {
    const drawn: Cell[] = [];
    const blob = await captureSet(map, 4, 64, async (camera) => {
      drawn.push(camera.eye);
      return new Uint8Array([drawn.length]);
    });
    const files = unzipSync(new Uint8Array(await blob.arrayBuffer()));
    const described = JSON.parse(new TextDecoder().decode(files["metadata.json"]!));
    expect(described).toMatchObject({ formatVersion: "1.0", viewCount: 4, imageSize: { width: 64, height: 64 } });
    for (const [i, view] of described.views.entries()) {
      expect([...files[view.rgbPath]!]).toEqual([i + 1]);
      expect(view.position).toEqual(cameras.toWorld(map, drawn[i]!));
      const product = cameras.product(view.projectionMatrix, view.viewMatrix);
      expect(view.viewProjectionMatrix).toEqual(product);
    }
  });

  it("goes once around", () => {
    const azimuths = viewsAround(map, 8).map(({ forward: [x, , z] }) => Math.round((Math.atan2(-x, -z) * 180) / Math.PI + 360) % 360);
    expect(azimuths).toEqual([0, 45, 90, 135, 180, 225, 270, 315]);
    expect(metadata(meadow([400, 64, 400]), [], 64).views).toEqual([]);
    expect(cameras.farOf(meadow([400, 64, 400]))).toBeGreaterThan(1600);
  });
});
