// What each room adds to the pages: how its assets look, and how its kinds of jobs show their results. A new room is
// a folder with a `room.tsx`, and a line here.

import type { ComponentType } from "preact";
import type { Asset, AssetSummary } from "./api";
import { episodes } from "./episodes/room";
import { label } from "./format";
import { generators } from "./generators/room";
import { materials } from "./materials/room";
import { worldModel } from "./world-model/room";
import { worlds } from "./worlds/room";

const ROOMS: Room[] = [worlds, generators, materials, episodes, worldModel];

export type Fact = [name: string, value: string];

export interface Action {
  title: string;
  href: string;
}

/** A type of assets in the library. */
export interface AssetType {
  title: string;
  plural: string;
  /** A line for the list. */
  summary: (asset: AssetSummary) => string;
  facts: (asset: Asset) => Fact[];
  /** The one thing to do with it that its row offers; jobs that can take it come by themselves. */
  action?: (id: string) => Action;
  /** Its own picture, where no job has shown one. */
  picture?: (asset: Asset) => string;
  /** What its row shows of its quality. */
  glance?: ComponentType<{ asset: Asset }>;
  /** What its page shows below the facts. */
  page?: ComponentType<{ asset: Asset }>;
}

export interface Room {
  assets: Record<string, AssetType>; // by type
  results: Record<string, ComponentType<{ result: Record<string, unknown> }>>; // by kind of job
  /** Below the library's list: what is kept here, but is no asset yet. */
  section?: ComponentType;
}

const TYPES: Record<string, AssetType> = Object.assign({}, ...ROOMS.map((room) => room.assets));
const RESULTS: Room["results"] = Object.assign({}, ...ROOMS.map((room) => room.results));

/** The room's own view of a type, or a plain one where no room has any. */
export function assetType(type: string): AssetType {
  const title = label(type);
  return TYPES[type] ?? { title, plural: `${title}s`, summary: () => "", facts: () => [] };
}

export const resultView = (kind: string): Room["results"][string] | undefined => RESULTS[kind];
export const sections = (): ComponentType[] => ROOMS.flatMap((room) => room.section ?? []);
export const knownTypes = (): string[] => Object.keys(TYPES);
