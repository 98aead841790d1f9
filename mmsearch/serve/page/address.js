/** The address is the state: what is asked, how it is shown, what is open. Back and forward just work. */

import { useEffect, useState } from "./vendor/preact.js";

/** A part of the query: {kind: "text" | "like" | "upload", value, name, weight}. */
const PART = /^(text|like|upload):(-?[\d.]+):([^:]*):([^]*)$/;

export const PAGES = ["search", "folders", "duplicates", "library", "models", "help"];

export function read(location = window.location) {
  const given = new URLSearchParams(location.search);
  const name = location.pathname.replace(/^\/+|\/+$/g, "") || "search";
  const [page, ...rest] = name.split("/");
  return {
    page: PAGES.includes(page) ? page : "search",
    topic: rest.join("/"),
    q: given.get("q") || "",
    parts: given.getAll("part").flatMap((text) => {
      const found = PART.exec(text);
      const weight = found ? Number(found[2]) : NaN;
      return found && Number.isFinite(weight) ? [{ kind: found[1], weight, value: found[3], name: found[4] }] : [];
    }),
    modalities: (given.get("in") || "").split(",").filter((kind) => ["image", "video", "audio", "text"].includes(kind)),
    filters: given.getAll("filter").filter(Boolean),
    view: given.get("view") === "lanes" ? "lanes" : "all",
    sort: given.get("sort") === "date" ? "date" : "confidence",
    folder: given.get("folder") || "",
    open: given.get("open") || "",
  };
}

/** The address of a state. Words that stand for a part are `text:WEIGHT::WORDS`. */
export function address(state) {
  const made = new URLSearchParams();
  if (state.q) made.set("q", state.q);
  for (const part of state.parts || []) made.append("part", `${part.kind}:${part.weight}:${part.value}:${part.name}`);
  if (state.modalities?.length) made.set("in", state.modalities.join(","));
  for (const filter of state.filters || []) made.append("filter", filter);
  if (state.view === "lanes") made.set("view", "lanes");
  if (state.sort === "date") made.set("sort", "date");
  if (state.folder) made.set("folder", state.folder);
  if (state.open) made.set("open", state.open);
  const path = state.page === "search" ? "/" : `/${state.page}${state.topic ? `/${state.topic}` : ""}`;
  const text = made.toString();
  return text ? `${path}?${text}` : path;
}

const EVENT = "mmsearch:address";

/** Go to a changed state. `replace` adds no step to the history: for what is no answer of its own. */
export function go(patch, { replace = false } = {}) {
  const target = address({ ...read(), ...patch });
  if (target === window.location.pathname + window.location.search) return;
  window.history[replace ? "replaceState" : "pushState"](null, "", target);
  window.dispatchEvent(new Event(EVENT));
}

/** The state of the address, kept up to date. */
export function useAddress() {
  const [state, set] = useState(() => read());
  useEffect(() => {
    const changed = () => set(read());
    window.addEventListener("popstate", changed);
    window.addEventListener(EVENT, changed);
    return () => { window.removeEventListener("popstate", changed); window.removeEventListener(EVENT, changed); };
  }, []);
  return state;
}

/** A click on a link within the page changes the state instead of loading the page anew. */
export function follow(event) {
  const link = event.target.closest?.("a[data-inside]");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  window.history.pushState(null, "", link.getAttribute("href"));
  window.dispatchEvent(new Event(EVENT));
  window.scrollTo(0, 0);
}
