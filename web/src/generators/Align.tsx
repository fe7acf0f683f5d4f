// Runs that align a generator, the form that starts one, and which generator draws new worlds.

import { useEffect, useState } from "preact/hooks";
import { getPromoted, listAssets, listJobs, Problem, promote, type Asset, type Job, type Promoted } from "../api";
import { ago, figures, label } from "../format";
import { JobForm, type Special, type SpecialRowProps } from "../jobs/JobForm";
import { JobRow } from "../jobs/Jobs";
import { usePoll } from "../poll";
import { go } from "../router";
import { generatorSummary } from "./manifest";
import { Rewards } from "./Rewards";
import { rewardsOf } from "./rewards";
import "./generators.css";

const KIND = "generator.align";

/** A field that some rewards alone need. */
const needed = (...by: string[]) => ({ values, plain }: SpecialRowProps) =>
  by.some((name) => rewardsOf(values).has(name)) ? plain() : null;

const METHODS: Record<string, string> = {
  nabla: "Towards what the base likes and the reward too: slow, and ends on a plateau.",
  refl: "By the gradient of the reward at a late step.",
  draft: "By the gradient through the last steps: fast, and goes far beyond budgets.",
  ddpo: "By trial: needs no gradient, and many more worlds.",
};

const FORM: Special = {
  kind: KIND,
  title: "Align a generator",
  rows: {
    generator: ({ plain }) => plain("the one that comes with Terrarium"),
    rewards: Rewards,
    reward_weights: () => null,
    material: needed("palette", "colour"),
    target: needed("silhouette"),
    clip_model: needed("clip"),
    hps_model: needed("hps"),
    aesthetic_model: needed("aesthetic"),
    normal_model: needed("normal"),
    apply_angle_mask: needed("normal", "depth_normals"),
    reward_context: needed("normal"),
    method: ({ values, plain }) => (
      <div class="method">
        {plain()}
        <p class="quiet hint">{METHODS[String(values["method"])]}</p>
      </div>
    ),
  },
  open: ["Budgets"],
};

export function Align() {
  const { value, error } = usePoll(() => listJobs({ kind: KIND }), 2000);
  useEffect(() => {
    document.title = "Align · Terrarium";
  }, []);
  return (
    <main class="page with-side">
      <div>
        <div class="title">
          <h1>Align</h1>
          <a class="button to-form" href="#new-job">
            New run
          </a>
        </div>
        <p class="lead">
          A generator learns to draw more of what a reward wants, while distance and diversity tell what that costs.
          Every measurement of a run can be drawn from.
        </p>
        {error && (
          <p class="error" role="alert">
            {error.message}
          </p>
        )}
        {value && !value.length && (
          <div class="card empty">
            <h2>No run yet</h2>
            <p>
              Choose a reward and start one. The preset <code>debug</code> takes seconds, and shows what a run looks like.
            </p>
          </div>
        )}
        <ul class="jobs" aria-label="Runs">
          {value?.map((job) => (
            <JobRow key={job.id} job={job} href={`/align/${job.id}`}>
              {about(job)}
            </JobRow>
          ))}
        </ul>
        <Generators />
      </div>
      <JobForm jobs={value ?? []} special={FORM} submitted={(job) => go(`/align/${job.id}`)} />
    </main>
  );
}

/** What a run is after, and what came of it. */
function about(job: Job): string {
  const { rewards, own_rewards = [], method } = job.config as { rewards: string[]; own_rewards?: string[]; method: string };
  const { base, best } = (job.result ?? {}) as Record<string, { reward: number } | undefined>;
  const came = base && best ? ` · reward ${figures(base.reward)} to ${figures(best.reward)}` : "";
  return `${[...rewards.map((name) => label(name).toLowerCase()), ...own_rewards].join(", ")} · ${method}${came}`;
}

function Generators() {
  const found = usePoll(() => listAssets({ type: "generator" }, 100), 5000);
  const promoted = usePoll(getPromoted, 5000);
  const [problem, setProblem] = useState("");
  const choose = async (id: string | null): Promise<void> => {
    try {
      await promote(id, null);
      setProblem("");
      promoted.refresh();
    } catch (e) {
      setProblem(e instanceof Problem ? e.message : String(e));
    }
  };
  if (!found.value || !promoted.value) return null;
  return (
    <section aria-labelledby="generators">
      <h2 id="generators">Who draws new worlds</h2>
      <p class="quiet">
        <i>Draw in seconds</i> in <a href="/worlds">Worlds</a> asks this one.
      </p>
      {problem && (
        <p class="error" role="alert">
          {problem}
        </p>
      )}
      <ul class="generators">
        <Drawer promoted={promoted.value} id={null} name="The one that comes with Terrarium" about="" choose={choose} />
        {found.value.items.map((asset) => (
          <Drawer key={asset.id} promoted={promoted.value!} id={asset.id} name={asset.name} about={aboutAsset(asset)} choose={choose} />
        ))}
      </ul>
    </section>
  );
}

const aboutAsset = (asset: Asset): string => `${generatorSummary(asset.manifest)}, ${ago(asset.created_at)}`;

interface DrawerProps {
  promoted: Promoted;
  id: string | null;
  name: string;
  about: string;
  choose: (id: string | null) => Promise<void>;
}

function Drawer({ promoted, id, name, about, choose }: DrawerProps) {
  const draws = promoted.generator === id;
  const which = draws && promoted.measurement !== null ? `step ${promoted.measurement}` : "";
  return (
    <li class="card generator" data-id={id ?? "shipped"}>
      <label class="check">
        <input type="radio" name="drawer" checked={draws} onChange={() => void choose(id)} />
        <span>
          <b>{name}</b> <span class="quiet">{[which, about].filter(Boolean).join(" · ")}</span>
        </span>
      </label>
      {id && <a href={`/library/${id}`}>Details</a>}
    </li>
  );
}
