import { describe, expect, it } from "vitest";
import { libraryPath, splitTags, tagsOf, typesOf } from "../../src/library/filters";

const assets = [
  { type: "painting", tags: ["night", "keep"] },
  { type: "dataset", tags: ["keep"] },
];

describe("the library's filters", () => {
  it("stand in the path", () => {
    expect(libraryPath({ type: "dataset", q: "a b", tag: "" })).toBe("/library?type=dataset&q=a+b");
    expect(libraryPath({ type: "", q: "" })).toBe("/library");
  });

  it("offer the rooms' types, what is there, and what is chosen", () => {
    expect(typesOf(["dataset", "tokenizer"], assets, "")).toEqual(["dataset", "tokenizer", "painting"]);
    expect(typesOf(["dataset"], [], "framed")).toEqual(["dataset", "framed"]);
    expect(tagsOf(assets, "")).toEqual(["keep", "night"]);
    expect(tagsOf([], "lost")).toEqual(["lost"]);
  });

  it("read tags with commas between", () => expect(splitTags(" a, b ,,a")).toEqual(["a", "b"]));
});
