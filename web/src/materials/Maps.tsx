// The maps of a material one by one: channels, beside the truth, as a heat map of the error, and repeated.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { materialFile, type Asset } from "../api";
import { label } from "../format";
import { hasMap, mapsOf, type Shown } from "./manifest";
import { pictureOf, type Picture } from "./picture";
import { angles, border, CHANNELS, difference, masked, type Channel, type Compared } from "./pixels";
import { Segments } from "./Preview";

type View = "map" | "truth" | "error" | "tiles";
const FULL = 64; // levels of 255 at which an error is brightest
const FULL_DEG = 30;
const TILES = 3;
const ALL: ReadonlySet<Channel> = new Set(CHANNELS);

export function Maps({ asset, truth }: { asset: Asset; truth: Asset | null }) {
  const maps = mapsOf(asset.manifest);
  const [map, setMap] = useState<Shown>("basecolor");
  const [view, setView] = useState<View>("map");
  const [on, setOn] = useState(ALL);
  const picture = usePicture(materialFile(asset.id, map));
  const known = truth !== null && hasMap(truth.manifest, map);
  const true_ = usePicture(known ? materialFile(truth.id, map) : null);
  const shown = !known && (view === "truth" || view === "error") ? "map" : view;
  const toggle = (channel: Channel): void => {
    const next = new Set(on);
    if (!next.delete(channel)) next.add(channel);
    setOn(next.size ? next : ALL);
  };
  return (
    <section class="maps">
      <h2>Maps</h2>
      <div class="types" role="group" aria-label="Map">
        {maps.map((name) => (
          <button key={name} type="button" aria-pressed={name === map} onClick={() => setMap(name)}>
            {label(name)}
          </button>
        ))}
      </div>
      <div class="map-view">
        <Segments name="view" title="View" of={known ? ["map", "truth", "error", "tiles"] : ["map", "tiles"]} chosen={shown} choose={setView} />
        <div class="switch-group" role="group" aria-label="Channels">
          {CHANNELS.map((channel) => (
            <button key={channel} type="button" aria-pressed={on.has(channel)} onClick={() => toggle(channel)}>
              {channel.toUpperCase()}
            </button>
          ))}
        </div>
      </div>
      {picture.value ? (
        <Pictures map={map} view={shown} found={picture.value} truth={true_.value} on={on} />
      ) : (
        <p class="quiet">{picture.problem || "Loading…"}</p>
      )}
    </section>
  );
}

interface PicturesProps {
  map: Shown;
  view: View;
  found: Picture;
  truth: Picture | null;
  on: ReadonlySet<Channel>;
}

function Pictures({ map, view, found, truth, on }: PicturesProps) {
  const shown = useMemo(() => masked(found.rgba, on), [found, on]);
  const beside = useMemo(() => truth && view === "truth" && masked(truth.rgba, on), [truth, on, view]);
  const apart = useMemo(() => (truth && view === "error" ? compared(map, found, truth) : null), [found, truth, view]);
  const seam = useMemo(() => (view === "tiles" ? border(found.rgba, found.side) : null), [found, view]);
  if (view === "error") {
    if (!apart) return <p class="quiet">{truth ? "The truth has another size: there is nothing to compare texel by texel." : "Loading…"}</p>;
    return <Sheet rgba={apart.rgba} side={found.side} text={`Error of ${label(map).toLowerCase()}`} said={inWords(map, apart)} />;
  }
  return (
    <div class="sheets">
      <Sheet rgba={shown} side={found.side} tiles={view === "tiles" ? TILES : 1} text={`${label(map)}${view === "tiles" ? ", repeated" : ""}`} said={seam ? tiling(seam) : view === "truth" ? "Found" : ""} />
      {beside && truth && <Sheet rgba={beside} side={truth.side} text={`True ${label(map).toLowerCase()}`} said="Truth" />}
    </div>
  );
}

const compared = (map: Shown, a: Picture, b: Picture): Compared | null => {
  if (a.side !== b.side) return null;
  return map === "normal" ? angles(a.rgba, b.rgba, FULL_DEG) : difference(a.rgba, b.rgba, FULL);
};

const inWords = (map: Shown, { far }: Compared): string =>
  map === "normal" ? `${far.toFixed(1)}° apart on average; brightest at ${FULL_DEG}° and above` : `RMSE ${(far / 255).toFixed(3)}; brightest at ${(FULL / 255).toFixed(2)} and above`;

const tiling = ({ across, inside }: { across: number; inside: number }): string => {
  const verdict = across <= 1.5 * inside + 1 ? "It repeats without a seam" : "It has a seam";
  return `${verdict}: neighbours differ by ${across.toFixed(1)} levels of 255 across the border, by ${inside.toFixed(1)} inside.`;
};

interface SheetProps {
  rgba: Uint8ClampedArray<ArrayBuffer>;
  side: number;
  tiles?: number;
  text: string;
  said: string;
}

function Sheet({ rgba, side, tiles = 1, text, said }: SheetProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context) return;
    for (let y = 0; y < tiles; y++) for (let x = 0; x < tiles; x++) context.putImageData(new ImageData(rgba, side, side), x * side, y * side);
  }, [rgba, side, tiles]);
  return (
    <figure class="card sheet">
      <canvas ref={canvas} width={tiles * side} height={tiles * side} role="img" aria-label={text} />
      {said && <figcaption class="quiet">{said}</figcaption>}
    </figure>
  );
}

/** Of a URL, or of none; null until it is there. */
function usePicture(url: string | null): { value: Picture | null; problem: string } {
  const [state, setState] = useState<{ url: string | null; value: Picture | null; problem: string }>({ url: null, value: null, problem: "" });
  useEffect(() => {
    let gone = false;
    if (!url) return;
    pictureOf(url).then(
      (value) => gone || setState({ url, value, problem: "" }),
      (e) => gone || setState({ url, value: null, problem: e instanceof Error ? e.message : String(e) }),
    );
    return () => void (gone = true);
  }, [url]);
  return url === state.url ? state : { value: null, problem: "" };
}
