// What the manifests of several rooms share. No DOM here.

export type Manifest = Record<string, unknown>;

export const object = (x: unknown): Manifest => (x !== null && typeof x === "object" ? (x as Manifest) : {});

export const frameSize = (x: unknown): string | null =>
  Array.isArray(x) && x.length === 2 ? `${x[1]} × ${x[0]}` : null;

/** Where frames come from: the block world's terrain, an environment, else the kind of source. */
export function origin(manifest: Manifest): [name: string, value: string] | null {
  const source = object(manifest["source"]);
  for (const [key, name] of [["terrain", "Terrain"], ["env", "Game"], ["kind", "Source"]] as const) {
    if (typeof source[key] === "string") return [name, source[key]];
  }
  return null;
}

/** Without those that have no value. */
export const known = (facts: [string, string | null][]): [name: string, value: string][] =>
  facts.filter((fact): fact is [string, string] => fact[1] !== null);
