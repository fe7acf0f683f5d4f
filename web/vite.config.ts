// npm run dev    the client at :5173, with /v1 passed on to a running `terrarium up` (GATEWAY to name another)
// npm run build  types from openapi.json, type check, then web/dist, which the gateway serves and the Python package carries
import { defineConfig } from "vite";

const gateway = process.env["GATEWAY"] ?? "http://127.0.0.1:8420";

export default defineConfig({
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: { proxy: { "/v1": { target: gateway, ws: true } } },
});
