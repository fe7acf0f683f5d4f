// What a job reported besides numbers, each by its media type.

import { useEffect, useState } from "preact/hooks";
import { artifactUrl, getText, type Artifact } from "../api";
import { ago, bytes, label } from "../format";
import { byName } from "./artifacts";

export function Previews({ artifacts }: { artifacts: Artifact[] }) {
  const named = byName(artifacts.filter((a) => a.role === "preview"));
  if (!named.length) return null;
  return (
    <section>
      <h2>Previews</h2>
      <div class="previews">
        {named.map(([name, history]) => (
          <History key={name} name={name} history={history} />
        ))}
      </div>
    </section>
  );
}

/** The newest picture of a name; the earlier ones can be stepped through. */
function History({ name, history }: { name: string; history: Artifact[] }) {
  const [chosen, choose] = useState<number | null>(null); // null: the newest, as it comes
  const last = history.length - 1;
  const at = chosen ?? last;
  const shown = history[at]!;
  const text = shown.caption || label(name.replace(/\.\w+$/, ""));
  const url = artifactUrl(shown.id);
  return (
    <figure class="card">
      <a href={url} target="_blank" rel="noreferrer">
        <img src={url} alt={`${at === last ? "Newest preview" : `Preview ${at + 1}`}: ${name}`} />
      </a>
      <figcaption>
        {text}
        {last > 0 && (
          <label class="steps">
            <input
              type="range"
              aria-label={`Previews of ${name}, oldest first`}
              min={0}
              max={last}
              value={at}
              onInput={(e) => {
                const to = Number(e.currentTarget.value);
                choose(to === last ? null : to);
              }}
            />
            {at + 1} of {last + 1}, {ago(shown.created_at)}
          </label>
        )}
      </figcaption>
    </figure>
  );
}

/** The newest of every name that is not a preview. */
export function Files({ artifacts }: { artifacts: Artifact[] }) {
  const files = byName(artifacts.filter((a) => a.role !== "preview")).map(([, history]) => history.at(-1)!);
  if (!files.length) return null;
  return (
    <section>
      <h2>Files</h2>
      <ul class="files">
        {files.map((file) => (
          <li key={file.id}>
            <a href={artifactUrl(file.id)} download={file.name}>
              {file.name}
            </a>{" "}
            <span class="quiet">
              {bytes(file.size)}
              {file.caption && ` · ${file.caption}`}
            </span>
            <Shown file={file} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function Shown({ file }: { file: Artifact }) {
  const text = file.caption || file.name;
  if (file.media_type.startsWith("image/")) return <img class="shown" src={artifactUrl(file.id)} alt={text} />;
  if (file.media_type.startsWith("video/")) return <video class="shown" src={artifactUrl(file.id)} controls loop muted aria-label={text} />;
  if (file.media_type === "text/html") return <Page file={file} />;
  return null;
}

/** A page without scripts, origin or links into ours. `srcdoc`, since the gateway serves artifacts without styles. */
function Page({ file }: { file: Artifact }) {
  const [open, setOpen] = useState(false);
  const [page, setPage] = useState("");
  useEffect(() => {
    if (open) void getText(artifactUrl(file.id)).then(setPage, (e) => setPage(String(e)));
  }, [open, file.id]);
  return (
    <details onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary>Show</summary>
      {open && <iframe class="shown" sandbox="" srcdoc={page} title={file.caption || file.name} />}
    </details>
  );
}
