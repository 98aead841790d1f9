/** The guide that ships with the program. */

import { html, useMemo } from "./vendor/preact.js";
import { call } from "./api.js";
import { Loading, Problem, useRequest } from "./parts.js";
import { TEXT } from "./strings.js";

export function Help({ state }) {
  const chapters = useRequest((signal) => call("/help", { signal }), "chapters");
  const topic = state.topic || "guide";
  const { data, error, loading, again } = useRequest((signal) => call(`/help/${encodeURIComponent(topic)}`, { signal }), topic);
  const made = useMemo(() => (data ? blocks(data.text) : []), [data]);
  return html`<section class="page help">
    <nav aria-label=${TEXT.help}><ul>${(chapters.data || []).map((one) => html`<li key=${one.name}><a data-inside href=${`/help/${one.name}`} aria-current=${one.name === topic ? "page" : undefined}>${one.title}</a></li>`)}</ul></nav>
    <article>${error ? html`<${Problem} error=${error} retry=${again} />` : loading ? html`<${Loading} />` : made}</article>
  </section>`;
}

/** Markdown as our chapters use it: headings, paragraphs, lists, tables, code. Everything becomes elements, never HTML. */
export function blocks(text) {
  const lines = text.split("\n");
  const made = [];
  let n = 0;
  const isStart = (line) => /^(#{1,4} |```|[-*] |\d+\. |\||\s*$)/.test(line);
  while (n < lines.length) {
    const line = lines[n];
    const heading = /^(#{1,4}) (.*)$/.exec(line);
    if (heading) {
      const id = heading[2].toLowerCase().replace(/[^\w]+/g, "-");
      made.push([html`<h1 id=${id}>${inline(heading[2])}</h1>`, html`<h2 id=${id}>${inline(heading[2])}</h2>`, html`<h3 id=${id}>${inline(heading[2])}</h3>`, html`<h4 id=${id}>${inline(heading[2])}</h4>`][heading[1].length - 1]);
      n += 1;
    } else if (line.startsWith("```")) {
      const code = [];
      for (n += 1; n < lines.length && !lines[n].startsWith("```"); n += 1) code.push(lines[n]);
      n += 1;
      made.push(html`<pre tabindex="0"><code>${code.join("\n")}</code></pre>`);
    } else if (line.startsWith("|")) {
      const rows = [];
      for (; n < lines.length && lines[n].startsWith("|"); n += 1) rows.push(lines[n].replace(/^\||\|\s*$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|")));
      const body = rows.filter((row) => !row.every((cell) => /^:?-+:?$/.test(cell)));
      const [head, ...rest] = body;
      made.push(html`<div class="table" tabindex="0"><table><thead><tr>${head.map((cell) => html`<th scope="col">${inline(cell)}</th>`)}</tr></thead>
        <tbody>${rest.map((row) => html`<tr>${row.map((cell) => html`<td>${inline(cell)}</td>`)}</tr>`)}</tbody></table></div>`);
    } else if (/^([-*]|\d+\.) /.test(line)) {
      const numbered = /^\d/.test(line);
      const items = [];
      for (; n < lines.length && (/^([-*]|\d+\.) /.test(lines[n]) || /^\s+\S/.test(lines[n])); n += 1) {
        if (/^([-*]|\d+\.) /.test(lines[n])) items.push(lines[n].replace(/^([-*]|\d+\.) /, ""));
        else items[items.length - 1] += ` ${lines[n].trim()}`;
      }
      made.push(numbered ? html`<ol>${items.map((item) => html`<li>${inline(item)}</li>`)}</ol>` : html`<ul>${items.map((item) => html`<li>${inline(item)}</li>`)}</ul>`);
    } else if (!line.trim()) n += 1;
    else {
      const words = [];
      for (; n < lines.length && (words.length === 0 || !isStart(lines[n])); n += 1) words.push(lines[n]);
      made.push(html`<p>${inline(words.join(" "))}</p>`);
    }
  }
  return made;
}

function inline(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*|\[[^\]]+\]\([^)]+\))/).map((piece, n) => {
    if (piece.startsWith("`") && piece.length > 2) return html`<code key=${n}>${piece.slice(1, -1)}</code>`;
    if (piece.startsWith("**") && piece.length > 4) return html`<strong key=${n}>${piece.slice(2, -2)}</strong>`;
    const link = /^\[([^\]]+)\]\(([\w-]+)\.md(#[\w-]+)?\)$/.exec(piece);
    if (link) return html`<a key=${n} data-inside href=${`/help/${link[2]}`}>${link[1]}</a>`;
    const other = /^\[([^\]]+)\]\(([^)]+)\)$/.exec(piece);
    return other ? other[1] : piece;
  });
}
