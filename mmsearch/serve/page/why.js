/** Why a result was found: what the model saw, which words or places carry it, and what each part of a query adds. */

import { html } from "./vendor/preact.js";
import { call } from "./api.js";
import { Loading, Name, Problem, useRequest } from "./parts.js";
import { TEXT, clock } from "./strings.js";

export function Reasons({ hit, asked }) {
  const { data, error, loading, again } = useRequest((signal) => call("/explain", { body: { ...asked, offset: hit.rank - 1, k: 1, item_id: hit.item_id }, signal }), `${hit.item_id}`);
  if (error) return html`<${Problem} error=${error} retry=${again} />`;
  if (loading) return html`<${Loading} />`;
  const most = Math.max(...(data.ties || []).map((tie) => Math.abs(tie.amount)), 1e-9);
  const nothing = !data.ties?.length && !data.cues?.length && !data.regions?.length && !data.parts?.length;
  return html`<div class="reasons">
    ${nothing && html`<p>${TEXT.whyNothing}</p>`}
    ${data.ties?.length > 0 && html`<h3>${TEXT.concepts}</h3><ul class="bars">${data.ties.slice(0, 8).map((tie) => html`<li key=${tie.name}>
      <span class="bar-name"><${Name}>${tie.name}<//></span><span class="bar-track"><span class="bar-fill" style=${{ width: `${(Math.abs(tie.amount) / most) * 100}%` }}></span></span></li>`)}</ul>`}
    ${data.cues?.length > 0 && html`<h3>${TEXT.cues}</h3><ul>${data.cues.map((cue) => html`<li key=${cue.text}><q dir="auto">${cue.text}</q></li>`)}</ul>`}
    ${data.regions?.length > 0 && html`<h3>${TEXT.regions}</h3>${hit.modality === "image" || hit.modality === "video" ? html`<${Overlay} hit=${hit} regions=${data.regions} />` : html`<ul>${data.regions.map((region, n) => html`<li key=${n}>${clock(region.start ?? hit.start)}${region.end != null ? ` – ${clock(region.end)}` : ""}</li>`)}</ul>`}`}
    ${data.parts?.length > 0 && html`<h3>${TEXT.share}</h3><ul class="bars">${data.parts.map((part) => html`<li key=${part.name}><span class="bar-name"><${Name}>${part.name}<//></span><span>${part.amount.toFixed(2)}</span></li>`)}</ul>`}
  </div>`;
}

function Overlay({ hit, regions }) {
  const source = hit.modality === "image" ? `${hit.links.thumbnail}?size=640` : `${hit.links.poster}?t=${hit.start || 0}`;
  const most = Math.max(...regions.map((region) => region.drop), 1e-9);
  return html`<div class="overlay"><img src=${source} alt="" />
    ${regions.map(({ box, drop }, n) => html`<span key=${n} class="region" style=${{
      left: `${box[0] * 100}%`, top: `${box[1] * 100}%`, width: `${(box[2] - box[0]) * 100}%`, height: `${(box[3] - box[1]) * 100}%`, opacity: String(0.35 + 0.65 * (drop / most)),
    }}></span>`)}</div>`;
}
