/** The answer to a query: surest first, what is less sure behind a divider, more as one scrolls. */

import { html, useCallback, useEffect, useMemo, useRef, useState } from "./vendor/preact.js";
import { call } from "./api.js";
import { address, go, read } from "./address.js";
import { Card } from "./cards.js";
import { joined, inFolder } from "./filters.js";
import { Icon, Loading, Problem } from "./parts.js";
import { SelectionBar } from "./selection.js";
import { KINDS, TEXT } from "./strings.js";
import { Viewer } from "./viewer.js";

const PAGE = 60;
const DIVIDED = ["sure", "likely"];

/** What `POST /search` wants for a state of the address; null if nothing is asked. */
export function request(state) {
  const parts = [];
  if (state.q) parts.push({ text: state.q });
  for (const part of state.parts) {
    if (part.kind === "text") parts.push({ text: part.name, weight: part.weight });
    else parts.push({ [part.kind]: part.kind === "like" ? Number(part.value) : part.value, weight: part.weight });
  }
  if (!parts.length) return null;
  const filters = state.folder ? [...state.filters, inFolder(state.folder)] : state.filters;
  return { parts, modalities: state.modalities.length ? state.modalities : null, filter: joined(filters), moments: state.q !== "" };
}

/** Hits in pages: {hits, more, loading, error, changed, took, next, again}. */
function useHits(state) {
  const asked = useMemo(() => request(state), [JSON.stringify(request(state))]);
  const key = JSON.stringify(asked);
  const [found, set] = useState({ key: null, hits: [], more: false, loading: true, error: null, changed: false, took: 0, generation: null });
  const [turn, setTurn] = useState(0);
  const running = useRef(null);
  const load = useCallback((offset, before) => {
    running.current?.abort();
    const control = (running.current = new AbortController());
    set((old) => ({ ...old, loading: true, error: null }));
    call("/search", { body: { ...asked, k: PAGE, offset }, signal: control.signal }).then(
      (told) => set((old) => ({
        key,
        hits: offset ? [...before, ...told.hits] : told.hits,
        more: told.more,
        loading: false,
        error: null,
        changed: offset ? old.changed || old.generation !== told.generation : false,
        took: offset ? old.took : told.took_ms,
        generation: offset ? old.generation : told.generation,
      })),
      (error) => control.signal.aborted || set((old) => ({ ...old, key, hits: offset ? before : [], more: false, loading: false, error })),
    );
  }, [key]);
  useEffect(() => { if (asked) load(0, []); return () => running.current?.abort(); }, [key, turn]);
  return {
    ...found,
    asked,
    stale: found.key !== key,
    next: () => { if (!found.loading && found.more) load(found.hits.length, found.hits); },
    again: () => setTurn((n) => n + 1),
  };
}

/** By sureness as they came, or by date within what is at least likely. */
export function ordered(hits, sort) {
  const surer = hits.filter((hit) => hit.level == null || DIVIDED.includes(hit.level));
  const rest = hits.filter((hit) => !surer.includes(hit));
  if (sort === "date") {
    const date = (hit) => hit.taken || hit.modified || "";
    surer.sort((a, b) => (date(a) < date(b) ? 1 : date(a) > date(b) ? -1 : a.rank - b.rank));
  }
  return { surer, rest };
}

export function Results({ state, may }) {
  const found = useHits(state);
  const [selected, setSelected] = useState(new Set());
  const [showRest, setShowRest] = useState(false);
  const anchor = useRef(-1);
  const key = JSON.stringify(found.asked);
  useEffect(() => { setSelected(new Set()); setShowRest(false); anchor.current = -1; }, [key]);

  const { surer, rest } = useMemo(() => ordered(found.hits, state.sort), [found.hits, state.sort]);
  const divided = rest.length > 0;
  const openRest = showRest || (surer.length === 0 && divided);
  const shown = openRest ? [...surer, ...rest] : surer;
  const openIndex = state.open ? shown.findIndex((hit) => String(hit.item_id) === state.open) : -1;
  useEffect(() => { if (state.open && openIndex < 0 && rest.some((hit) => String(hit.item_id) === state.open)) setShowRest(true); }, [state.open, rest]);

  const select = (index, range) => setSelected((old) => {
    const made = new Set(old);
    const id = shown[index]?.item_id;
    if (id === undefined) return old;
    if (range && anchor.current >= 0) {
      const [from, to] = [anchor.current, index].sort((a, b) => a - b);
      for (let n = from; n <= to; n += 1) made.add(shown[n].item_id);
    } else if (made.has(id)) made.delete(id);
    else made.add(id);
    anchor.current = index;
    return made;
  });
  const open = Object.assign((index) => go({ open: String(shown[index].item_id) }), {
    address: (hit) => address({ ...read(), open: String(hit.item_id) }),
  });
  const similar = (hit, weight = 1) => go({
    page: "search", open: "", q: weight > 0 ? "" : state.q,
    parts: [...(weight > 0 ? [] : state.parts), { kind: "like", value: String(hit.item_id), name: hit.name, weight }],
  });

  useEffect(() => {
    const pressed = (event) => {
      const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox";
      if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
      const focused = Number(document.activeElement?.dataset?.index ?? -1);
      // At once, not with the next drawing: keys may come faster than that.
      const move = (to) => document.querySelector(`.card-link[data-index="${Math.min(shown.length - 1, Math.max(0, to))}"]`)?.focus();
      if (event.key === "j" || event.key === "ArrowRight") move(focused + 1);
      else if (event.key === "k" || event.key === "ArrowLeft") move(focused - 1);
      else if (event.key.toLowerCase() === "x" && focused >= 0) select(focused, event.shiftKey);
      else if (event.key === "s" && focused >= 0) similar(shown[focused]);
      else if (event.key === "Escape" && selected.size) setSelected(new Set());
      else return;
      event.preventDefault();
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  });

  if (found.error) return html`<${Problem} error=${found.error} retry=${found.again} />`;
  if (found.stale || (found.loading && !found.hits.length)) return html`<${Loading} label=${TEXT.searching} />`;
  if (!found.hits.length) return html`<div class="empty" role="status"><h2>${TEXT.nothing}</h2><p>${TEXT.nothingHint}</p></div>`;

  const card = (hit, row) => {
    const index = shown.indexOf(hit);
    return html`<${Card} key=${hit.item_id} hit=${hit} index=${index} row=${row} selected=${selected.has(hit.item_id)} onSelect=${select} onOpen=${open} />`;
  };
  const chosen = found.hits.filter((hit) => selected.has(hit.item_id));
  return html`<section class="results" aria-label=${TEXT.search}>
    <p class="found" role="status">${surer.length || !divided ? TEXT.results(found.hits.length, found.more) : TEXT.nothingSure}
      <span class="took">${TEXT.took(found.took)}</span></p>
    ${found.changed && html`<div class="notice"><p>${TEXT.changed}</p><button type="button" onClick=${found.again}>${TEXT.refresh}</button></div>`}
    <${Shown} hits=${surer} view=${state.view} card=${card} id="results" />
    ${divided && surer.length > 0 && html`<div class="divider"><button type="button" aria-expanded=${openRest} onClick=${() => setShowRest(!openRest)}>
      ${openRest ? TEXT.hideLessSure : TEXT.lessSure(rest.length)}</button></div>`}
    ${openRest && html`<${Shown} hits=${rest} view=${state.view} card=${card} id="less-sure" />`}
    ${found.more && html`<${More} onWanted=${found.next} loading=${found.loading} eager=${openRest} />`}
    ${selected.size > 0 && html`<${SelectionBar} hits=${chosen} may=${may} onClear=${() => setSelected(new Set())} onSimilar=${similar} />`}
    ${openIndex >= 0 && html`<${Viewer} hits=${shown} index=${openIndex} asked=${found.asked} may=${may}
      onMove=${(index) => go({ open: String(shown[index].item_id) }, { replace: true })} onClose=${() => go({ open: "" })} onSimilar=${similar} />`}
  </section>`;
}

function Shown({ hits, view, card, id }) {
  if (!hits.length) return null;
  if (view !== "lanes") return html`<ol class="cards" id=${id}>${hits.map((hit) => card(hit, false))}</ol>`;
  return html`<div id=${id}>${Object.entries(KINDS).map(([kind, names]) => {
    const own = hits.filter((hit) => hit.modality === kind);
    const rows = kind === "audio" || kind === "text";
    return own.length > 0 && html`<section class="lane" key=${kind}><h2><${Icon} name=${kind} />${names.many} <span class="count">${own.length}</span></h2>
      <ol class=${rows ? "rows" : "cards"}>${own.map((hit) => card(hit, rows))}</ol></section>`;
  })}</div>`;
}

/** Asks for the next page as it comes into sight; also by a button, for those who don't scroll. */
function More({ onWanted, loading, eager }) {
  const element = useRef(null);
  const wanted = useRef(onWanted);
  wanted.current = onWanted;
  useEffect(() => {
    if (!eager) return undefined;
    const watcher = new IntersectionObserver((entries) => entries.some((one) => one.isIntersecting) && wanted.current(), { rootMargin: "600px" });
    watcher.observe(element.current);
    return () => watcher.disconnect();
  }, [eager]);
  return html`<p class="more" ref=${element}>${loading ? html`<${Loading} />` : html`<button type="button" onClick=${onWanted}>${TEXT.more}</button>`}</p>`;
}
