import { afterEach, describe, expect, it, vi } from "vitest";
import { enter, getDiskUse, locked } from "../src/api";
import { keyOfLink } from "../src/Door";

afterEach(() => {
  vi.unstubAllGlobals();
  locked.value = false;
});

describe("an API key", () => {
  it("comes with the link once, and leaves the address bar", () => {
    const replaceState = vi.fn();
    vi.stubGlobal("location", { hash: "#key=trm_0", pathname: "/", search: "?checkpoint=a" });
    vi.stubGlobal("history", { replaceState });
    expect(keyOfLink()).toBe("trm_0");
    expect(replaceState).toHaveBeenCalledWith(null, "", "/?checkpoint=a");
    vi.stubGlobal("location", { hash: "#new-job", pathname: "/jobs", search: "" });
    expect(keyOfLink()).toBeNull();
    expect(replaceState).toHaveBeenCalledTimes(1);
  });

  it("is asked for after a 401 and no more once it was taken", async () => {
    vi.stubGlobal("fetch", async () => new Response('{"detail": "no", "code": "key_missing"}', { status: 401 }));
    await expect(getDiskUse()).rejects.toMatchObject({ code: "key_missing" });
    expect(locked.value).toBe(true);
    vi.stubGlobal("fetch", async () => new Response(null, { status: 204 }));
    await enter("trm_0");
    expect(locked.value).toBe(false);
  });
});
