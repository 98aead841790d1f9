/** The models that there are, what each would need on this machine, and which one serves. */

import { html, useState } from "./vendor/preact.js";
import { call } from "./api.js";
import { Loading, Name, Problem, useRequest } from "./parts.js";
import { TEXT, bytes, roughly } from "./strings.js";

export function Models({ may }) {
  const { data, error, loading, again } = useRequest((signal) => call("/models", { signal }), "models");
  const [problem, setProblem] = useState(null);
  if (error) return html`<${Problem} error=${error} retry=${again} />`;
  if (loading) return html`<${Loading} />`;
  const use = (name) => call("/models/active", { method: "PUT", body: { name } }).then(again, setProblem);
  return html`<section class="page" aria-labelledby="models-title">
    <h1 id="models-title">${TEXT.models}</h1>
    <p class="hint">${TEXT.modelsHint}</p>
    <${Problem} error=${problem} />
    <ul class="models">${data.map((model) => html`<li key=${model.name} class=${model.active ? "model active" : "model"}>
      <h2><${Name}>${model.name}<//>${model.active && html` <span class="badge-text">${TEXT.active}</span>`}</h2>
      <p>${model.summary || ""}</p>
      <p class="hint">${[
        model.modalities?.join(", "), model.dim ? `${model.dim} dimensions` : "", model.download_bytes ? bytes(model.download_bytes) : "",
        model.seconds ? roughly(model.seconds) : "", model.licence, model.here === false ? TEXT.notInstalled : "",
      ].filter(Boolean).join(" · ")}</p>
      ${may("manage") && model.ready && !model.active && html`<button type="button" onClick=${() => use(model.name)}>${TEXT.switchModel}</button>`}
    </li>`)}</ul></section>`;
}
