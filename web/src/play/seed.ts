// World seeds as people type and share them.

const MAX_SEED = 2 ** 31 - 1;

/** A world to start in: short, so that it can be told to a friend. */
export const anySeed = (): number => Math.floor(Math.random() * 1_000_000);

/** Null where `text` is no seed. */
export function parseSeed(text: string): number | null {
  const trimmed = text.trim();
  return /^\d{1,10}$/.test(trimmed) && Number(trimmed) <= MAX_SEED ? Number(trimmed) : null;
}
