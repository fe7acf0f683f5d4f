// Paths of our own; the gateway answers every one of them with index.html.

import { computed, signal } from "@preact/signals";

const url = signal(new URL(location.href));
export const path = computed(() => url.value.pathname);
export const query = computed(() => url.value.searchParams);

export function go(to: string, replace = false): void {
  history[replace ? "replaceState" : "pushState"](null, "", to);
  url.value = new URL(location.href);
  if (!replace) scrollTo(0, 0);
}

addEventListener("popstate", () => {
  url.value = new URL(location.href);
});

// Plain clicks on our own links change the page in place.
document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (!link || (link.hash && link.pathname === location.pathname)) return;
  if (link.origin !== location.origin || link.target || link.pathname.startsWith("/v1/")) return;
  event.preventDefault();
  go(link.href);
});
