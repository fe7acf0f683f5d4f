// Who may use this server, and who is told of what happens on it.

import { useEffect } from "preact/hooks";
import { Keys } from "./Keys";
import { Webhooks } from "./Webhooks";
import "./access.css";

export function Access() {
  useEffect(() => {
    document.title = "Access · Terrarium";
  }, []);
  return (
    <main class="page">
      <h1>Access</h1>
      <Keys />
      <Webhooks />
    </main>
  );
}
