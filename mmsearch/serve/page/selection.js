/** What can be done with the results that are selected. */

import { html, useRef, useState } from "./vendor/preact.js";
import { call } from "./api.js";
import { Icon, Problem } from "./parts.js";
import { TEXT } from "./strings.js";

/** Puts text on the clipboard; false where the browser has none to give. */
export async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/** Saves files one by one: the browser asks where, and shows how far it is. */
export function download(hits) {
  for (const hit of hits) {
    const link = document.createElement("a");
    link.href = `${hit.links.file}?download=true`;
    link.download = hit.name;
    document.body.append(link);
    link.click();
    link.remove();
  }
}

export function SelectionBar({ hits, may, onClear, onSimilar }) {
  const [said, setSaid] = useState("");
  const [paths, setPaths] = useState("");
  const [error, setError] = useState(null);
  const [tagging, setTagging] = useState(false);
  const area = useRef(null);
  const copy = async () => {
    const text = hits.map((hit) => hit.path).join("\n");
    if (await toClipboard(text)) { setPaths(""); setSaid(TEXT.copied(hits.length)); return; }
    setSaid(TEXT.noClipboard);
    setPaths(text);
    requestAnimationFrame(() => { area.current?.focus(); area.current?.select(); });
  };
  const tag = async (event) => {
    event.preventDefault();
    const name = new FormData(event.target).get("tag").trim();
    if (!name) return;
    try {
      await call("/tags", { body: { items: hits.map((hit) => hit.item_id), add: [name] } });
      setSaid(TEXT.tagged(hits.length, name));
      setTagging(false);
    } catch (problem) { setError(problem); }
  };
  return html`<div class="selection" role="region" aria-label=${TEXT.selected(hits.length)}>
    <strong>${TEXT.selected(hits.length)}</strong>
    <button type="button" onClick=${copy}><${Icon} name="copy" />${TEXT.copyPaths}</button>
    <button type="button" onClick=${() => download(hits)}><${Icon} name="download" />${TEXT.download}</button>
    ${may("tag") && (tagging
      ? html`<form class="inline" onSubmit=${tag}><input name="tag" aria-label=${TEXT.tagName} placeholder=${TEXT.tagName} autofocus /><button class="primary">${TEXT.apply}</button></form>`
      : html`<button type="button" onClick=${() => setTagging(true)}><${Icon} name="tag" />${TEXT.addTag}</button>`)}
    ${hits.length === 1 && html`<button type="button" onClick=${() => onSimilar(hits[0])}><${Icon} name="search" />${TEXT.similar}</button>`}
    <button type="button" onClick=${onClear}><${Icon} name="close" />${TEXT.clearSelection}</button>
    <p class="said" role="status">${said}</p>
    ${paths && html`<textarea ref=${area} readonly rows="3" aria-label=${TEXT.copyPaths}>${paths}</textarea>`}
    <${Problem} error=${error} />
  </div>`;
}
