import { describe, expect, it } from "vitest";
import { box, History, mirrored, setTo } from "../../src/worlds/edits";
import { count, meadow, typeAt, type Cell } from "../../src/worlds/map";

describe("History", () => {
  it("does, undoes and does again", () => {
    const map = meadow([4, 4, 4]);
    const history = new History(map);
    history.do(setTo(map, [[1, 1, 1], [2, 1, 1]], 3));
    history.do(setTo(map, [[1, 1, 1]], 0));
    expect([typeAt(map, [1, 1, 1]), typeAt(map, [2, 1, 1])]).toEqual([0, 3]);
    expect(history.undo()).toEqual([{ index: expect.any(Number), from: 0, to: 3 }]);
    expect(typeAt(map, [1, 1, 1])).toBe(3);
    history.undo();
    expect(count(map)).toBe(16);
    expect(history.canUndo).toBe(false);
    expect(history.undo()).toEqual([]);
    history.redo();
    history.redo();
    expect(count(map)).toBe(17);
    expect(history.canRedo).toBe(false);
  });

  it("forgets what was undone once something else is done, and keeps no empty edit", () => {
    const map = meadow([4, 4, 4]);
    const history = new History(map);
    history.do(setTo(map, [[0, 1, 0]], 2));
    history.undo();
    history.do(setTo(map, [[0, 1, 0]], 0)); // is air
    expect([history.canUndo, history.canRedo]).toEqual([false, true]);
    history.do(setTo(map, [[0, 2, 0]], 2));
    expect(history.canRedo).toBe(false);
  });

  it("knows what is saved, also after an undo", () => {
    const map = meadow([4, 4, 4]);
    const history = new History(map);
    expect(history.unsaved).toBe(false);
    history.do(setTo(map, [[0, 1, 0]], 2));
    expect(history.unsaved).toBe(true);
    history.markSaved();
    expect(history.unsaved).toBe(false);
    history.undo();
    expect(history.unsaved).toBe(true);
    history.redo();
    expect(history.unsaved).toBe(false);
  });
});

describe("tools", () => {
  it("mirror in the middle planes, a cell on one of them once", () => {
    const map = meadow([5, 3, 4]);
    const cells = (mirror: { x: boolean; z: boolean }, cell: Cell) => mirrored(map, [cell], mirror);
    expect(cells({ x: true, z: false }, [0, 1, 1])).toEqual([[0, 1, 1], [4, 1, 1]]);
    expect(cells({ x: true, z: true }, [0, 1, 1])).toEqual([[0, 1, 1], [4, 1, 1], [0, 1, 2], [4, 1, 2]]);
    expect(cells({ x: true, z: false }, [2, 0, 0])).toEqual([[2, 0, 0]]);
  });

  it("fill a box from either corner, within the map", () => {
    expect(box([2, 1, 0], [1, 1, 2])).toEqual(box([1, 1, 2], [2, 1, 0]));
    expect(box([0, 0, 0], [1, 2, 3])).toHaveLength(24);
    const map = meadow([4, 4, 4]);
    expect(setTo(map, box([2, 0, 2], [5, 1, 5]), 3)).toHaveLength(8);
  });
});
