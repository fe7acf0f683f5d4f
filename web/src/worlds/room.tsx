import { worldFile } from "../api";
import type { Room } from "../domains";
import { blocksText, sizeText, worldSummary } from "./manifest";

export const worlds: Room = {
  assets: {
    "block-world": {
      title: "World",
      plural: "Worlds",
      summary: (asset) => worldSummary(asset.manifest),
      facts: (asset) => [
        ["Dimensions", sizeText(asset.manifest)],
        ["Blocks", blocksText(asset.manifest)],
      ],
      picture: ({ id }) => worldFile(id, "thumbnail.png"),
      action: (id) => ({ title: "Open", href: `/worlds/${id}` }),
    },
  },
  results: {},
};
