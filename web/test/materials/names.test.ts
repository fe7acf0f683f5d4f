import { describe, expect, it } from "vitest";
import { chosenMaps, mapName, viewsName } from "../../src/materials/names";

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

describe("viewsName", () => {
  it("is what the files have in common", () => {
    expect(viewsName(["wall-0.png", "wall-1.png", "wall-2.png"])).toBe("wall");
    expect(viewsName(["0.png", "1.png", "2.png"])).toBe("surface");
  });
});
