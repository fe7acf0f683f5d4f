import type { Room } from "../domains";
import { generatorFacts, generatorSummary } from "./manifest";

export const generators: Room = {
  assets: {
    generator: {
      title: "Generator",
      plural: "Generators",
      summary: (asset) => generatorSummary(asset.manifest),
      facts: (asset) => generatorFacts(asset.manifest),
      page: ({ asset }) =>
        "aligned" in asset.manifest ? (
          <p>
            <a class="button" href={`/align/${asset.id}`}>
              Its measurements, and drawing from them
            </a>
          </p>
        ) : null,
    },
  },
  results: {},
};
