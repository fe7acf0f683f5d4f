import { render, type ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { Access } from "./access/Access";
import { Align } from "./generators/Align";
import { RunPage } from "./generators/RunPage";
import { JobPage } from "./jobs/JobPage";
import { Jobs } from "./jobs/Jobs";
import { enter, locked, reachable } from "./api";
import { Door, keyOfLink } from "./Door";
import { AssetPage } from "./library/AssetPage";
import { Library } from "./library/Library";
import { MaterialPage } from "./materials/MaterialPage";
import { Materials } from "./materials/Materials";
import { PlanPage } from "./plans/PlanPage";
import { Play } from "./play/Play";
import { go, path, query } from "./router";
import { World } from "./worlds/World";
import { Worlds } from "./worlds/Worlds";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import "./play/play.css";
import "./pages.css";

const SECTIONS: [string, string][] = [
  ["/", "Play"],
  ["/worlds", "Worlds"],
  ["/align", "Align"],
  ["/materials", "Materials"],
  ["/jobs", "Jobs"],
  ["/library", "Library"],
];
const MOVED: Record<string, string> = { "/checkpoints": "/library", "/datasets": "/library?type=dataset" };

function page(at: string): ComponentChildren {
  const job = /^\/jobs\/([^/]+)$/.exec(at)?.[1];
  if (job) return <JobPage key={job} id={decodeURIComponent(job)} />;
  const plan = /^\/plans\/([^/]+)$/.exec(at)?.[1];
  if (plan) return <PlanPage key={plan} id={decodeURIComponent(plan)} />;
  const asset = /^\/library\/([^/]+)$/.exec(at)?.[1];
  if (asset) return <AssetPage key={asset} id={decodeURIComponent(asset)} />;
  const material = /^\/materials\/([^/]+)$/.exec(at)?.[1];
  if (material) return <MaterialPage key={material} id={decodeURIComponent(material)} />;
  const run = /^\/align\/([^/]+)$/.exec(at)?.[1];
  if (run) return <RunPage key={run} id={decodeURIComponent(run)} />;
  const world = /^\/worlds\/([^/]+)$/.exec(at)?.[1];
  if (world) return <World id={decodeURIComponent(world)} />;
  switch (at) {
    case "/":
      return <Play key={query.value.get("world")} />;
    case "/worlds":
      return <Worlds />;
    case "/align":
      return <Align />;
    case "/materials":
      return <Materials />;
    case "/jobs":
      return <Jobs />;
    case "/library":
      return <Library />;
    case "/access":
      return <Access />;
    default:
      return (
        <main class="page">
          <h1>Nothing grows here</h1>
          <p>
            There is no page at <code>{at}</code>. <a href="/">Play</a> instead.
          </p>
        </main>
      );
  }
}

function App() {
  const at = path.value.replace(/(.)\/$/, "$1");
  const moved = MOVED[at];
  useEffect(() => {
    if (moved) go(moved, true);
  }, [moved]);
  return (
    <>
      <header class="bar">
        <a class="mark" href="/" aria-label="Terrarium">
          <Jar />
          <span>Terrarium</span>
        </a>
        <nav aria-label="Pages">
          {SECTIONS.map(([href, name]) => {
            const here = href === "/" ? at === "/" : at.startsWith(href);
            return (
              <a key={href} href={href} aria-current={here ? "page" : undefined}>
                {name}
              </a>
            );
          })}
        </nav>
        <a class="to-access" href="/access" aria-label="Access" aria-current={at === "/access" ? "page" : undefined}>
          <KeyMark />
        </a>
      </header>
      <p class="unreachable" role="status" hidden={reachable.value}>
        {!reachable.value && "The server does not answer. This page goes on by itself as soon as it is back."}
      </p>
      {!moved && (locked.value ? <Door /> : page(at))}
    </>
  );
}

/** The mark: a jar with a block of grass in it; also public/favicon.svg. */
function Jar() {
  return (
    <svg viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
      <path class="jar" d="M9 4h14v3c3 2 5 5 5 10 0 7-4 11-12 11S4 24 4 17C4 12 6 9 9 7z" />
      <path class="jar-top" d="M16 12l7 3.6-7 3.6-7-3.6z" />
      <path class="jar-left" d="M9 15.6l7 3.6v6.4l-7-3.6z" />
      <path class="jar-right" d="M23 15.6l-7 3.6v6.4l7-3.6z" />
    </svg>
  );
}

/** API keys and webhooks are behind it. */
function KeyMark() {
  return (
    <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round">
      <circle cx="8" cy="15" r="4.5" />
      <path d="M11.2 11.8L20 3M16 7l3 3" />
    </svg>
  );
}

async function begin(): Promise<void> {
  const key = keyOfLink();
  if (key) {
    await enter(key).catch(() => {
      locked.value = true; // the form says what is wrong with the next try
    });
  }
  render(<App />, document.getElementById("app")!);
}

void begin();
