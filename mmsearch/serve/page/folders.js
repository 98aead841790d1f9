/** Folders as they lie on the disk, and a search within any of them. */

import { html, useState } from "./vendor/preact.js";
import { call, parameters } from "./api.js";
import { go } from "./address.js";
import { Card } from "./cards.js";
import { Icon, Loading, Name, Problem, useRequest } from "./parts.js";
import { TEXT } from "./strings.js";
import { Viewer } from "./viewer.js";

const PAGE = 120;

export function Folders({ state, may }) {
  const [count, setCount] = useState(PAGE);
  const { data, error, loading, again } = useRequest(
    (signal) => call(`/folders${parameters({ path: state.folder, k: count })}`, { signal }),
    `${state.folder}|${count}`,
  );
  if (error) return html`<${Problem} error=${error} retry=${again} />`;
  if (loading && !data) return html`<${Loading} />`;
  const hits = (data.items || []).map((item, n) => ({ rank: n + 1, duplicates: [], moments: [], members: [], ...item }));
  const openIndex = state.open ? hits.findIndex((hit) => String(hit.item_id) === state.open) : -1;
  const open = Object.assign((index) => go({ open: String(hits[index].item_id) }), { address: (hit) => `/folders${parameters({ folder: state.folder, open: hit.item_id })}` });
  return html`<section class="page folders" aria-labelledby="folders-title">
    <h1 id="folders-title">${TEXT.folders}</h1>
    <nav class="trail" aria-label=${TEXT.folders}>
      <a data-inside href="/folders">${TEXT.everything}</a>
      ${trail(data).map(({ path, name }) => html`<span key=${path}><span aria-hidden="true"> › </span><a data-inside href=${`/folders?folder=${encodeURIComponent(path)}`}
        aria-current=${path === state.folder ? "page" : undefined}><${Name}>${name}<//></a></span>`)}
    </nav>
    ${state.folder && html`<form class="bar within" onSubmit=${(event) => { event.preventDefault(); const q = event.target.q.value.trim(); if (q) go({ page: "search", q, parts: [], open: "" }); }}>
      <${Icon} name="search" /><input name="q" type="search" aria-label=${TEXT.searchIn(data.name || state.folder)} placeholder=${TEXT.searchIn(data.name || state.folder)} /><button>${TEXT.submit}</button></form>`}
    <ul class="folder-list">${data.folders.map((folder) => html`<li key=${folder.path}><a data-inside href=${`/folders?folder=${encodeURIComponent(folder.path)}`}>
      <${Icon} name="folder" /><${Name}>${folder.name}<//><span class="count">${TEXT.filesIn(folder.count)}</span></a></li>`)}</ul>
    ${hits.length > 0 && html`<ol class="cards">${hits.map((hit, n) => html`<${Card} key=${hit.item_id} hit=${hit} index=${n} selected=${false} onSelect=${() => {}} onOpen=${open} />`)}</ol>`}
    ${state.folder && !hits.length && html`<p class="hint">${TEXT.emptyFolder}</p>`}
    ${hits.length === count && html`<p class="more"><button type="button" onClick=${() => setCount(count + PAGE)}>${TEXT.more}</button></p>`}
    ${openIndex >= 0 && html`<${Viewer} hits=${hits} index=${openIndex} asked=${null} may=${may} onMove=${(index) => go({ open: String(hits[index].item_id) }, { replace: true })}
      onClose=${() => go({ open: "" })} onSimilar=${(hit, weight = 1) => go({ page: "search", folder: "", open: "", q: "", parts: [{ kind: "like", value: String(hit.item_id), name: hit.name, weight }] })} />`}
  </section>`;
}

/** The folders that lead to the one that is shown, the root first. */
function trail(data) {
  return data.path ? [...data.parents, { path: data.path, name: data.name }] : data.parents;
}
