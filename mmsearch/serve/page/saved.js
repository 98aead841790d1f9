/** Searches that were saved: a name for an address of this page. */

import { html, useState } from "./vendor/preact.js";
import { call } from "./api.js";
import { Icon, Name, Problem, useRequest } from "./parts.js";
import { TEXT } from "./strings.js";

/** A search is kept as what comes behind the question mark of its address. */
export function SavedSearches({ may, current }) {
  const { data, again } = useRequest((signal) => call("/searches", { signal }), "searches");
  const [naming, setNaming] = useState(false);
  const [error, setError] = useState(null);
  const saved = data || [];
  const save = async (event) => {
    event.preventDefault();
    const name = event.target.name.value.trim();
    if (!name) return;
    try {
      await call("/searches", { body: { name, address: current } });
      setNaming(false);
      again();
    } catch (problem) { setError(problem); }
  };
  const remove = (name) => call(`/searches/${encodeURIComponent(name)}`, { method: "DELETE" }).then(again, setError);
  if (!saved.length && !current) return null;
  return html`<div class="saved">
    <div class="chips" role="group" aria-label=${TEXT.savedSearches}>
      ${saved.map((one) => html`<span class="chip" key=${one.name}><${Icon} name="star" /><a data-inside class="chip-link" href=${`/?${one.address}`}><${Name}>${one.name}<//></a>
        ${may("tag") && html`<button type="button" class="chip-remove" aria-label=${TEXT.removeSearch(one.name)} title=${TEXT.removeSearch(one.name)} onClick=${() => remove(one.name)}><${Icon} name="close" /></button>`}</span>`)}
      ${current && may("tag") && (naming
        ? html`<form class="inline" onSubmit=${save}><input name="name" aria-label=${TEXT.searchName} placeholder=${TEXT.searchName} autofocus autocomplete="off" /><button class="primary">${TEXT.apply}</button></form>`
        : html`<button type="button" class="chip chip-add" onClick=${() => setNaming(true)}><${Icon} name="star" />${TEXT.saveSearch}</button>`)}
    </div>
    <${Problem} error=${error} />
  </div>`;
}
