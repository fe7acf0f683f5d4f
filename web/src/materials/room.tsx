import { materialFile } from "../api";
import type { Room } from "../domains";
import { Comparison } from "./Comparison";
import { diffuseSummary, materialFacts, materialSummary, viewsSummary } from "./manifest";

export const materials: Room = {
  assets: {
    material: {
      title: "Material",
      plural: "Materials",
      summary: (asset) => materialSummary(asset.manifest),
      facts: (asset) => materialFacts(asset.manifest),
      picture: ({ id }) => materialFile(id, "basecolor"),
      action: (id) => ({ title: "Open", href: `/materials/${id}` }),
    },
    "view-set": {
      title: "Views of a surface",
      plural: "Views of surfaces",
      summary: (asset) => viewsSummary(asset.manifest),
      facts: () => [],
      picture: ({ id }) => materialFile(id, "0"),
    },
    diffuse: {
      title: "Diffuse texture",
      plural: "Diffuse textures",
      summary: (asset) => diffuseSummary(asset.manifest),
      facts: () => [],
      picture: ({ id }) => materialFile(id, "diffuse"),
    },
  },
  results: { "material.infer": ({ result }) => <Comparison of={result} /> },
};
