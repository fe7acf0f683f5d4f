import { describe, expect, it } from "vitest";
import { chosenMaps, chosenPictures, mapName, viewsName } from "../../src/materials/names";

describe("mapName", () => {
  it.each([
    ["basecolor.png", "basecolor"],
    ["Bricks_01_2K_Color.png", "basecolor"],
    ["rock_wall_diff_1k.png", "basecolor"],
    ["wood-Base Color.png", "basecolor"],
    ["T_Stone_Metalness.PNG", "metallic"],
    ["metal_plate_rough.png", "roughness"],
    ["Fabric026_1K-PNG_NormalGL.png", "normal"],
    ["rock_nor_gl_2k.png", "normal"],
    ["x_AmbientOcclusion.png", "ao"],
    ["Tiles_disp.png", "height"],
    ["thumbnail.png", null],
  ])("%s is %s", (file, map) => expect(mapName(file)).toBe(map));
});

describe("chosenMaps", () => {
  const files = (...names: string[]) => names.map((name) => ({ name }));

  it("renames what it knows and leaves the rest", () => {
    const found = chosenMaps(files("a_albedo.png", "a_rough.png", "a_metal.png", "a_normal.png", "a_preview.png"));
    expect(Object.keys(found)).toEqual(["basecolor.png", "roughness.png", "metallic.png", "normal.png"]);
  });

  it("names what is missing, and what is there twice", () => {
    expect(() => chosenMaps(files("a_albedo.png", "a_normal.png"))).toThrow("no roughness, no metallic among a_albedo.png");
    expect(() => chosenMaps(files("a_albedo.png", "b_color.png"))).toThrow("b_color.png and a_albedo.png are both the basecolor");
  });
});

describe("chosenPictures", () => {
  const files = (...names: string[]) => names.map((name) => ({ name }));

  it("takes three views in name order", () => {
    const { type, named } = chosenPictures(files("wall_10.png", "wall_2.png", "poses.json", "wall_1.png"));
    expect(type).toBe("view-set");
    expect(Object.values(named).map(({ name }) => name)).toEqual(["wall_1.png", "wall_2.png", "wall_10.png"]);
  });

  it("takes one diffuse texture, with its normals if their name says so", () => {
    expect(chosenPictures(files("wall_normal.png"))).toEqual({ type: "diffuse", named: { "diffuse.png": { name: "wall_normal.png" } } });
    const { named } = chosenPictures(files("wall_n_normal.png", "wall_diffuse.png"));
    expect(Object.entries(named).map(([name, file]) => [name, file.name])).toEqual([
      ["diffuse.png", "wall_diffuse.png"],
      ["normal.png", "wall_n_normal.png"],
    ]);
  });

  it("says how many it got", () => {
    expect(() => chosenPictures(files("a.png", "b.png"))).toThrow("2 pictures (a.png, b.png): expected 3 views, or one diffuse texture");
    expect(() => chosenPictures([])).toThrow("0 pictures (none)");
  });
});

describe("viewsName", () => {
  it("is what the files have in common", () => {
    expect(viewsName(["wall-0.png", "wall-1.png", "wall-2.png"])).toBe("wall");
    expect(viewsName(["0.png", "1.png", "2.png"])).toBe("surface");
  });
});
