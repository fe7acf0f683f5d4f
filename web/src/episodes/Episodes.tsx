// The episodes of a dataset, played from its frames as they lie on the disk.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { episodeFrames, getBytes, Problem, type Asset } from "../api";
import { count } from "../format";
import { episodesOf, frameShape, type Episode } from "./manifest";
import { Reel, withAlpha } from "./reel";
import "./episodes.css";

export function Episodes({ asset }: { asset: Asset }) {
  const episodes = useMemo(() => episodesOf(asset.manifest), [asset.id]);
  const [chosen, choose] = useState(0);
  const shape = frameShape(asset.manifest);
  const episode = episodes[chosen];
  if (!episode || !shape) return null;
  const held = episode.split === "val" ? ", held out" : "";
  return (
    <section class="episodes" aria-labelledby="episodes-title">
      <div class="plays-bar">
        <h2 id="episodes-title">Episodes</h2>
        <span class="actions">
          <button type="button" disabled={chosen === 0} onClick={() => choose(chosen - 1)}>
            Previous
          </button>
          <label class="field episode-number">
            <span class="unseen">Episode</span>
            <input
              type="number"
              min={1}
              max={episodes.length}
              value={chosen + 1}
              onChange={(e) => {
                const n = Math.round(e.currentTarget.valueAsNumber) || 1;
                choose(Math.min(Math.max(n, 1), episodes.length) - 1);
                e.currentTarget.value = String(Math.min(Math.max(n, 1), episodes.length));
              }}
            />
          </label>
          <span class="quiet">of {count(episodes.length)}</span>
          <button type="button" disabled={chosen === episodes.length - 1} onClick={() => choose(chosen + 1)}>
            Next
          </button>
          <span class="quiet">
            seed {episode.seed}
            {held}
          </span>
        </span>
      </div>
      <Screen key={episode.id} asset={asset} episode={episode} height={shape[0]} width={shape[1]} />
    </section>
  );
}

function Screen({ asset, episode, height, width }: { asset: Asset; episode: Episode; height: number; width: number }) {
  const fps = Number(asset.manifest["fps"]) || 20;
  const last = episode.length - 1;
  const reel = useMemo(
    () => new Reel(episodeFrames(asset.id, episode.id), episode.length, height * width * 3, getBytes),
    [asset.id, episode.id],
  );
  const canvas = useRef<HTMLCanvasElement>(null);
  const [frame, setFrame] = useState(0);
  const [playing, play] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);

  useEffect(() => {
    let gone = false;
    reel
      .want(frame)
      .then(() => {
        const rgb = reel.at(frame);
        if (gone || !rgb) return;
        setProblem(null);
        canvas.current?.getContext("2d")?.putImageData(new ImageData(withAlpha(rgb), width, height), 0, 0);
      })
      .catch((e: unknown) => {
        if (gone) return;
        setProblem(e instanceof Problem ? e : new Problem(0, "client", String(e)));
        play(false);
      });
    return () => {
      gone = true;
    };
  }, [reel, frame]);

  useEffect(() => {
    if (!playing) return;
    const timer = window.setInterval(() => {
      setFrame((now) => (now < last && reel.at(now) ? now + 1 : now)); // waits for what has not come
    }, 1000 / fps);
    return () => clearInterval(timer);
  }, [playing, reel]);

  useEffect(() => {
    if (frame === last) play(false);
  }, [frame]);

  const start = (): void => {
    if (frame === last) setFrame(0);
    play(!playing);
  };
  return (
    <div class="card screen">
      <canvas ref={canvas} id="episode" width={width} height={height} role="img" aria-label={`Frame ${frame + 1} of episode ${episode.id}`} />
      {problem && (
        <p class="error" role="alert">
          {problem.message}
        </p>
      )}
      <div class="reel">
        <button type="button" class="primary" onClick={start}>
          {playing ? "Pause" : "Play"}
        </button>
        <input
          type="range"
          aria-label="Frame"
          min={0}
          max={last}
          value={frame}
          onInput={(e) => {
            play(false);
            setFrame(e.currentTarget.valueAsNumber);
          }}
        />
        <span class="quiet">
          {count(frame + 1)} of {count(episode.length)}, {(frame / fps).toFixed(1)} s
        </span>
      </div>
    </div>
  );
}
