// Which map a file is, by the names that libraries of materials give theirs; and what is sent of what was chosen. No DOM.

export const VIEWS = 3;
export const REQUIRED = ["basecolor", "roughness", "metallic", "normal"] as const;
export const MAPS = [...REQUIRED, "ao", "height"] as const;
export type MapName = (typeof MAPS)[number];

const WORDS: Record<MapName, RegExp> = {
  basecolor: /^(basecolou?r|albedo|diffuse|diff|colou?r|col|base)$/,
  roughness: /^(roughness|rough)$/,
  metallic: /^(metallic|metalness|metal)$/,
  normal: /^(normal|normalgl|nor|nrm|norgl)$/,
  ao: /^(ao|occlusion|ambientocclusion)$/,
  height: /^(height|displacement|disp|parallax)$/,
};

/** `Bricks_01_2K_Color.png` -> `basecolor`; null for one that is none. The last word that names a map counts. */
export function mapName(file: string): MapName | null {
  const words = file
    .replace(/\.\w+$/, "")
    .replace(/base[_ -]?colou?r/gi, "basecolor")
    .replace(/ambient[_ -]?occlusion/gi, "ao")
    .replace(/(normal|nor)[_ -]?gl/gi, "normal")
    .toLowerCase()
    .split(/[^a-z]+/);
  for (const word of words.reverse()) {
    const found = MAPS.find((name) => WORDS[name].test(word));
    if (found) return found;
  }
  return null;
}

/** {name in the upload: file} of chosen maps. The error says which are missing, or are there twice. */
export function chosenMaps<F extends { name: string }>(files: readonly F[]): Record<string, F> {
  const found: Partial<Record<MapName, F>> = {};
  for (const file of files) {
    const name = mapName(file.name);
    if (!name) continue;
    if (found[name]) throw new Error(`${file.name} and ${found[name].name} are both the ${name}`);
    found[name] = file;
  }
  const missing = REQUIRED.filter((name) => !found[name]);
  if (missing.length) throw new Error(`no ${missing.join(", no ")} among ${files.map((f) => f.name).join(", ")}`);
  return Object.fromEntries(Object.entries(found).map(([name, file]) => [`${name}.png`, file]));
}

export type PicturesType = "view-set" | "diffuse";

/** {name in the upload: file} of chosen pictures: three views in name order, or one diffuse texture, with its normal map
 *  where one is called that. The error says how many there are. */
export function chosenPictures<F extends { name: string }>(files: readonly F[]): { type: PicturesType; named: Record<string, F> } {
  const pictures = files.filter((file) => !file.name.endsWith(".json")).toSorted((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
  if (pictures.length === VIEWS) return { type: "view-set", named: Object.fromEntries(pictures.map((file, i) => [`${i}.png`, file])) };
  const normals = pictures.length > 1 ? pictures.filter((file) => mapName(file.name) === "normal") : [];
  const others = pictures.filter((file) => !normals.includes(file));
  if (others.length === 1 && normals.length < 2) {
    return { type: "diffuse", named: { "diffuse.png": others[0]!, ...(normals[0] && { "normal.png": normals[0] }) } };
  }
  const told = pictures.map((f) => f.name).join(", ") || "none";
  throw new Error(`${pictures.length} pictures (${told}): expected ${VIEWS} views, or one diffuse texture, with a normal map or without`);
}

/** What three chosen views are called together: what their names begin with in common, else of the first. */
export function viewsName(files: readonly string[]): string {
  const stems = files.map((name) => name.replace(/\.\w+$/, ""));
  let common = stems[0] ?? "";
  for (const stem of stems) while (!stem.startsWith(common)) common = common.slice(0, -1);
  return common.replace(/[\W_]+$/, "") || "surface";
}
