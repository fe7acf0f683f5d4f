// All materials, and the ways to a new one: pictures of a surface, a sample, maps that are there.

import { zipSync } from "fflate";
import { useEffect, useRef, useState } from "preact/hooks";
import { artifactUrl, getJobKinds, listAssets, materialFile, newKey, Problem, submitJob, submitPlan, uploadAsset, type Asset } from "../api";
import { ago, label } from "../format";
import { usePoll } from "../poll";
import { go } from "../router";
import { materialSummary } from "./manifest";
import { chosenMaps, chosenPictures, viewsName, type PicturesType } from "./names";
import { commonSide, pngOf } from "./picture";
import "./materials.css";

const MOST = 100;
const SIDES = [128, 256, 512, 1024];

export function Materials() {
  const { value, error } = usePoll(() => listAssets({ type: "material" }, MOST), 4000);
  useEffect(() => {
    document.title = "Materials · Terrarium";
  }, []);
  return (
    <main class="page">
      <div class="title">
        <h1>Materials</h1>
        <span class="actions">
          <UploadMaps />
        </span>
      </div>
      <div class="beginnings">
        <FromPictures />
        <FromSample />
      </div>
      {error && (
        <p class="error" role="alert">
          {error.message}
        </p>
      )}
      {value && !value.items.length && (
        <p class="card empty">
          <b>No material yet.</b>
          <span>Photograph a surface three times, bring a texture, try a sample, or upload maps that you have.</span>
        </p>
      )}
      <ul class="materials">
        {value?.items.map((asset) => (
          <Tile key={asset.id} asset={asset} />
        ))}
      </ul>
      {value?.next_cursor && (
        <p>
          The newest {MOST} are shown. <a href="/library?type=material">Search them all</a>.
        </p>
      )}
    </main>
  );
}

/** What a form says went wrong, whoever found it. */
const said = (e: unknown): string => (e instanceof Problem || e instanceof Error ? e.message : String(e));

function FromPictures() {
  const [files, setFiles] = useState<File[]>([]);
  const [crop, setCrop] = useState(false);
  const [model, setModel] = useState("");
  const [busy, setBusy] = useState("");
  const [problem, setProblem] = useState("");
  const type = typeOf(files);
  const models = usePoll(() => listAssets({ type: MODEL_FOR[type] }, MOST), 10_000, type).value?.items ?? [];
  const chosen = models.find(({ id }) => id === model)?.id ?? (type === "diffuse" ? models[0]?.id : undefined); // none for one picture ships
  const submit = async (e: Event): Promise<void> => {
    e.preventDefault();
    setProblem("");
    try {
      setBusy("Uploading…");
      const given = await uploadAsset(await pictureSet(files, crop), () => undefined, type);
      setBusy("Submitting…");
      const job = await submitJob({ kind: "material.infer", views: given.id, ...(chosen && { model: chosen }) }, given.name, newKey());
      go(`/materials/${job.id}`);
    } catch (error) {
      setProblem(said(error));
      setBusy("");
    }
  };
  return (
    <form class="card begin" onSubmit={submit} aria-labelledby="from-pictures">
      <h2 id="from-pictures">From pictures</h2>
      <p class="quiet">
        Three square pictures of one flat surface from nearly above, from different sides, with a lamp beside the camera. Or one diffuse texture; a
        second picture may be its normal map, if its name says so.
      </p>
      <label class="field">
        <span>Pictures</span>
        <input
          type="file"
          name="views"
          multiple
          required
          accept="image/*,.json"
          onChange={(e) => {
            setFiles([...(e.currentTarget.files ?? [])]);
            setProblem("");
          }}
        />
      </label>
      {files.length > 0 && (
        <span class="glances">
          {files.filter((file) => file.type.startsWith("image/")).map((file) => (
            <Glance key={`${file.name} ${file.lastModified}`} file={file} />
          ))}
        </span>
      )}
      <label class="check">
        <input type="checkbox" name="crop" checked={crop} onChange={(e) => setCrop(e.currentTarget.checked)} /> Crop to equal squares
      </label>
      {type === "diffuse" && models.length === 0 && (
        <p class="quiet">
          No model for one picture is here yet: train one with <code>terrarium texture</code>, or bring three views.
        </p>
      )}
      {models.length > 0 && (
        <label class="field">
          <span>Model for {type === "diffuse" ? "one picture" : "three views"}</span>
          <select name="model" onChange={(e) => setModel(e.currentTarget.value)}>
            {type !== "diffuse" && <option value="">the one that comes with Terrarium</option>}
            {models.map(({ id, name }) => (
              <option key={id} value={id} selected={id === chosen}>
                {name}
              </option>
            ))}
          </select>
        </label>
      )}
      {problem && (
        <p class="error" role="alert">
          {problem}
        </p>
      )}
      <button type="submit" class="primary" disabled={Boolean(busy) || !files.length}>
        {busy || "Find the maps"}
      </button>
    </form>
  );
}

const MODEL_FOR: Record<PicturesType, string> = { "view-set": "material-model", diffuse: "texture-model" };

/** Of what is chosen so far. */
function typeOf(files: readonly File[]): PicturesType {
  try {
    return chosenPictures(files).type;
  } catch {
    return "view-set";
  }
}

/** A chosen file as a small picture. */
function Glance({ file }: { file: File }) {
  const [url, setUrl] = useState("");
  useEffect(() => {
    const made = URL.createObjectURL(file);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [file]);
  return url ? <img src={url} alt={file.name} /> : null;
}

/** The zip of chosen pictures, with poses.json if that was chosen too. */
async function pictureSet(files: readonly File[], crop: boolean): Promise<File> {
  const { named } = chosenPictures(files);
  const pictures = Object.values(named);
  const side = crop ? await commonSide(pictures) : null;
  const entries: Record<string, Uint8Array> = {};
  for (const [name, file] of Object.entries(named)) entries[name] = await pngOf(file, side);
  const poses = files.find((file) => file.name.endsWith(".json"));
  if (poses) entries["poses.json"] = new Uint8Array(await poses.arrayBuffer());
  return zipped(entries, viewsName(pictures.map(({ name }) => name)));
}

function zipped(entries: Record<string, Uint8Array>, name: string): File {
  return new File([zipSync(entries, { level: 0 })], `${name}.zip`); // PNGs are compressed
}

function FromSample() {
  const kinds = usePoll(getJobKinds, 60_000).value;
  const families = (kinds?.["material.make"]?.schema.properties?.["family"]?.enum ?? []) as string[];
  const [family, setFamily] = useState("brick");
  const [seed, setSeed] = useState(1);
  const [size, setSize] = useState(256);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const job = { kind: "material.make", family, seed, size };
  const name = `${label(family)} ${seed}`;
  const attempt = async (what: () => Promise<string>): Promise<void> => {
    setBusy(true);
    setProblem("");
    try {
      go(`/materials/${await what()}`);
    } catch (error) {
      setProblem(said(error));
      setBusy(false);
    }
  };
  const make = async (): Promise<string> => (await submitJob(job, name, newKey())).id;
  const both = async (): Promise<string> => {
    const steps = [
      { name: "sample", job },
      { name: "maps", job: { kind: "material.infer", views: "@sample", seed } },
    ];
    return (await submitPlan(`${name}, maps from views`, steps, newKey())).steps[1]!.job.id;
  };
  return (
    <form
      class="card begin"
      aria-labelledby="from-sample"
      onSubmit={(e) => {
        e.preventDefault();
        void attempt(both);
      }}
    >
      <h2 id="from-sample">From a sample</h2>
      <p class="quiet">A procedural material, rendered from three sides. Its maps are known, so what is found can be compared.</p>
      <div class="row">
        <label class="field grow">
          <span>Family</span>
          <select name="family" onChange={(e) => setFamily(e.currentTarget.value)}>
            {families.map((one) => (
              <option key={one} value={one} selected={one === family}>
                {label(one)}
              </option>
            ))}
          </select>
        </label>
        <label class="field">
          <span>Seed</span>
          <input name="seed" type="number" min={0} max={2 ** 31 - 1} step={1} required value={seed} onInput={(e) => setSeed(e.currentTarget.valueAsNumber || 0)} />
        </label>
        <label class="field">
          <span>Pixels</span>
          <select name="size" onChange={(e) => setSize(Number(e.currentTarget.value))}>
            {SIDES.map((n) => (
              <option key={n} value={n} selected={n === size}>
                {n}
              </option>
            ))}
          </select>
        </label>
      </div>
      {problem && (
        <p class="error" role="alert">
          {problem}
        </p>
      )}
      <div class="row choices">
        <button type="submit" class="primary" disabled={busy || !families.length}>
          Find its maps
        </button>
        <button type="button" disabled={busy || !families.length} onClick={() => void attempt(make)}>
          Just make it
        </button>
      </div>
    </form>
  );
}

/** Maps that are there: a zip of them, or the pictures themselves by their names. */
function UploadMaps() {
  const input = useRef<HTMLInputElement>(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const send = async (files: File[]): Promise<void> => {
    setBusy(true);
    setProblem("");
    try {
      const zip = files.length === 1 && files[0]!.name.toLowerCase().endsWith(".zip") ? files[0]! : await mapsZip(files);
      go(`/materials/${(await uploadAsset(zip, () => undefined, "material")).id}`);
    } catch (e) {
      setProblem(said(e));
      setBusy(false);
    }
  };
  return (
    <>
      {problem && (
        <span class="error" role="alert">
          {problem}
        </span>
      )}
      <input
        ref={input}
        type="file"
        multiple
        accept="image/png,.zip"
        aria-label="Maps to upload"
        hidden
        onChange={(e) => {
          const files = [...(e.currentTarget.files ?? [])];
          e.currentTarget.value = ""; // the same files may be chosen again
          if (files.length) void send(files);
        }}
      />
      <button
        type="button"
        disabled={busy}
        title="PNGs of base colour, roughness, metallic and normal (OpenGL), or a zip of them"
        onClick={() => input.current?.click()}
      >
        {busy ? "Uploading…" : "Upload maps"}
      </button>
    </>
  );
}

async function mapsZip(files: readonly File[]): Promise<File> {
  const entries: Record<string, Uint8Array> = {};
  for (const [name, file] of Object.entries(chosenMaps(files))) entries[name] = await pngOf(file, null);
  return zipped(entries, viewsName(files.map(({ name }) => name)));
}

function Tile({ asset }: { asset: Asset }) {
  const picture = asset.preview ? artifactUrl(asset.preview) : materialFile(asset.id, "basecolor");
  return (
    <li class="card tile" data-id={asset.id}>
      <img class="tile-picture" data-lit={asset.preview !== null} src={picture} alt="" loading="lazy" />
      <a class="asset-link" href={`/materials/${asset.id}`}>
        <b>{asset.name}</b>
      </a>
      <span class="quiet">{materialSummary(asset.manifest)}</span>
      <span class="quiet">{ago(asset.created_at)}</span>
    </li>
  );
}
