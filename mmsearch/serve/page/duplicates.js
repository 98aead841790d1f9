/** Files that are provably the same, in groups. Nothing is deleted from here. */

import { html, useState } from "./vendor/preact.js";
import { call } from "./api.js";
import { Icon, Loading, Name, Problem, useRequest } from "./parts.js";
import { toClipboard } from "./selection.js";
import { TEXT, bytes } from "./strings.js";

export function Duplicates() {
  const { data, error, loading, again } = useRequest((signal) => call("/duplicates", { signal }), "duplicates");
  const [said, setSaid] = useState("");
  if (error) return html`<${Problem} error=${error} retry=${again} />`;
  if (loading) return html`<${Loading} />`;
  const copy = async (group) => {
    const text = group.spare.join("\n");
    setSaid((await toClipboard(text)) ? TEXT.copied(group.spare.length) : text);
  };
  return html`<section class="page" aria-labelledby="duplicates-title">
    <h1 id="duplicates-title">${TEXT.duplicates}</h1>
    <p class="hint">${data.length ? TEXT.duplicatesHint : TEXT.noDuplicates}</p>
    <p class="said" role="status">${said}</p>
    <ol class="groups">${data.map((group, n) => html`<li class="group" key=${n}>
      <header><span class="freed">${TEXT.freed(bytes(group.freed))}</span>
        ${group.spare.length > 0 && html`<button type="button" onClick=${() => copy(group)}><${Icon} name="copy" />${TEXT.copyPaths}</button>`}</header>
      <ul class="twins">${group.files.map((file, m) => html`<li key=${file.path} class=${m ? "" : "kept"}>
        ${group.modality === "image" || group.modality === "video" ? html`<img src=${`/api/v1/items/${file.item_id}/thumbnail?size=320`} alt="" loading="lazy" onError=${(event) => event.target.remove()} />` : html`<span class="lost"><${Icon} name=${group.modality} /></span>`}
        <span class="twin-name"><${Name}>${file.path}<//></span>
        <span class="twin-facts">${file.kind ? TEXT.sameKinds[file.kind] || file.kind : TEXT.keep} · ${bytes(file.size)}${file.width ? ` · ${file.width} × ${file.height}` : ""}</span>
      </li>`)}</ul></li>`)}</ol>
  </section>`;
}
