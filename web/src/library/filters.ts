// What the library can be filtered by. No DOM here.

interface Tagged {
  type: string;
  tags: string[];
}

/** Path of the library with these filters; empty ones are left out. */
export function libraryPath(filters: Record<string, string>): string {
  const given = Object.entries(filters).filter(([, value]) => value);
  return given.length ? `/library?${new URLSearchParams(given)}` : "/library";
}

/** The rooms' types, and others that are there or chosen. */
export const typesOf = (known: string[], assets: Tagged[], chosen: string): string[] => [
  ...new Set([...known, ...assets.map((a) => a.type).sort(), ...(chosen ? [chosen] : [])]),
];

export const tagsOf = (assets: Tagged[], chosen: string): string[] =>
  [...new Set([...assets.flatMap((a) => a.tags), ...(chosen ? [chosen] : [])])].sort();

/** `night, sharp ,night` -> the tags in it. */
export const splitTags = (text: string): string[] => [
  ...new Set(text.split(",").map((t) => t.trim()).filter(Boolean)),
];
