import type { Room } from "../domains";
import { Episodes } from "./Episodes";
import { datasetFacts, datasetSummary } from "./manifest";
import { Plays } from "./Plays";

export const episodes: Room = {
  assets: {
    dataset: {
      title: "Dataset",
      plural: "Datasets",
      summary: (asset) => datasetSummary(asset.manifest, asset.counts?.frames),
      facts: (asset) => datasetFacts(asset.manifest),
      page: Episodes,
    },
  },
  results: {},
  section: Plays,
};
