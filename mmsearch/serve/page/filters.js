/** Conditions as chips. Each chip is a condition in the language of --filter, so that it can be copied to a shell. */

import { html, useState } from "./vendor/preact.js";
import { Dialog, Icon, Name } from "./parts.js";
import { TEXT } from "./strings.js";

/** A value as the language wants it. */
export const quoted = (text) => (/^[\w.:/+-]+$/.test(text) ? text : `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`);

const range = (column) => ({ from, to }) => {
  const parts = [from && `${column} >= ${quoted(from)}`, to && `${column} <= ${quoted(to)}`].filter(Boolean);
  return parts.join(" and ");
};

const FIELDS = {
  taken: { inputs: ["from", "to"], make: range("taken") },
  camera: { inputs: ["contains"], make: ({ contains }) => contains && `camera contains ${quoted(contains)}` },
  size: { inputs: ["from", "to"], make: range("size") },
  width: { inputs: ["from", "to"], make: range("width") },
  duration: { inputs: ["from", "to"], make: range("duration") },
  place: {
    inputs: ["south", "west", "north", "east"],
    make: ({ south, west, north, east }) => [south, west, north, east].every(Boolean) && `within(${south}, ${west}, ${north}, ${east})`,
  },
  tag: { inputs: ["tag"], make: ({ tag }) => tag && `tag = ${quoted(tag)}` },
  folder: { inputs: ["contains"], make: ({ contains }) => contains && `folder contains ${quoted(contains)}` },
  written: { inputs: ["written"], make: ({ written }) => written },
};

const INPUT_LABELS = {
  from: TEXT.from, to: TEXT.to, contains: TEXT.contains, tag: TEXT.filterFields.tag, written: TEXT.filterFields.written,
  south: "South", west: "West", north: "North", east: "East",
};

/** Items that lie in a folder or below it. */
export const inFolder = (folder) => `path glob ${quoted(`${folder.replace(/[[*?]/g, "[$&]").replace(/\/+$/, "")}/*`)}`;

/** All conditions as one, or null. */
export const joined = (filters) => (filters.length ? filters.map((one) => `(${one})`).join(" and ") : null);

export function FilterChips({ filters, onChange }) {
  const [open, setOpen] = useState(false);
  return html`<div class="chips" role="group" aria-label=${TEXT.filters}>
    ${filters.map((filter, n) => html`<span class="chip" key=${filter}>
      <${Icon} name="filter" /><${Name}>${filter}<//>
      <button type="button" class="chip-remove" aria-label=${TEXT.removeFilter(filter)} title=${TEXT.removeFilter(filter)}
        onClick=${() => onChange(filters.filter((_, m) => m !== n))}><${Icon} name="close" /></button>
    </span>`)}
    <button type="button" class="chip chip-add" aria-haspopup="dialog" onClick=${() => setOpen(true)}><${Icon} name="plus" />${TEXT.addFilter}</button>
    ${open && html`<${FilterDialog} onClose=${() => setOpen(false)} onMade=${(made) => { setOpen(false); onChange([...filters, made]); }} />`}
  </div>`;
}

function FilterDialog({ onClose, onMade }) {
  const [field, setField] = useState("taken");
  const [given, setGiven] = useState({});
  const made = FIELDS[field].make(Object.fromEntries(Object.entries(given).map(([name, text]) => [name, text.trim()])));
  return html`<${Dialog} label=${TEXT.addFilter} onClose=${onClose} className="small">
    <form class="filter-form" onSubmit=${(event) => { event.preventDefault(); if (made) onMade(made); }}>
      <h2>${TEXT.addFilter}</h2>
      <div class="choices" role="radiogroup" aria-label=${TEXT.addFilter}>
        ${Object.keys(FIELDS).map((name) => html`<label class="choice" key=${name}>
          <input type="radio" name="field" value=${name} checked=${field === name} onChange=${() => { setField(name); setGiven({}); }} />
          <span>${TEXT.filterFields[name]}</span></label>`)}
      </div>
      <div class="inputs">
        ${FIELDS[field].inputs.map((name) => html`<label key=${field + name}>${INPUT_LABELS[name]}
          <input value=${given[name] || ""} autocomplete="off" spellcheck="false"
            onInput=${(event) => setGiven({ ...given, [name]: event.target.value })} /></label>`)}
      </div>
      ${TEXT.filterHints[field] && html`<p class="hint">${TEXT.filterHints[field]}</p>`}
      <p class="made" aria-live="polite">${made ? html`<code>${made}</code>` : ""}</p>
      <div class="buttons">
        <button type="button" onClick=${onClose}>${TEXT.cancel}</button>
        <button class="primary" disabled=${!made}>${TEXT.apply}</button>
      </div>
    </form>
  <//>`;
}
