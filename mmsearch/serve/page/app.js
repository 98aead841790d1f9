/** The page: its head, and the part of it that the address asks for. */

import { html, render, useEffect, useRef, useState } from "./vendor/preact.js";
import { ApiError, call, listen } from "./api.js";
import { PAGES, address, follow, go, useAddress } from "./address.js";
import { Duplicates } from "./duplicates.js";
import { FilterChips } from "./filters.js";
import { Folders } from "./folders.js";
import { Help } from "./help.js";
import { Library } from "./library.js";
import { Models } from "./models.js";
import { Dialog, Icon, IconButton, Loading, Name, Problem } from "./parts.js";
import { Results, request } from "./results.js";
import { SavedSearches } from "./saved.js";
import { Choices, SearchBar } from "./searchbar.js";
import { EXAMPLES, LANGUAGE, TEXT } from "./strings.js";

const THEMES = ["auto", "light", "dark"];

function useTheme() {
  const [theme, set] = useState(() => { try { return localStorage.getItem("theme") || "auto"; } catch { return "auto"; } });
  useEffect(() => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    try { localStorage.setItem("theme", theme); } catch { /* the browser keeps nothing */ }
  }, [theme]);
  return [theme, () => set(THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length])];
}

/** One connection for what the server says of itself, handed on to whoever listens. */
function makeEvents() {
  const told = new Map();
  const on = (name, listener) => {
    if (!told.has(name)) told.set(name, new Set());
    told.get(name).add(listener);
    return () => told.get(name).delete(listener);
  };
  const say = (name) => (data) => (told.get(name) || []).forEach((listener) => listener(data));
  return { on, start: () => listen({ progress: say("progress"), generation: say("generation") }) };
}

function App() {
  const state = useAddress();
  const [session, setSession] = useState(null);
  const [problem, setProblem] = useState(null);
  const [theme, nextTheme] = useTheme();
  const [keys, setKeys] = useState(false);
  const input = useRef(null);
  const events = useRef(makeEvents()).current;
  const begin = () => call("/session").then((told) => { setSession(told); setProblem(null); }, (error) => { setSession(null); setProblem(error); });
  useEffect(() => { document.documentElement.lang = LANGUAGE; begin(); }, []);
  useEffect(() => (session ? events.start() : undefined), [Boolean(session)]);
  useEffect(() => {
    const title = state.page === "search" ? state.q : TEXT[state.page];
    document.title = title ? `${title} · ${TEXT.product}` : TEXT.product;
  }, [state.page, state.q]);
  useEffect(() => {
    const pressed = (event) => {
      if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox") return;
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "/" && !document.querySelector("dialog[open]")) { event.preventDefault(); input.current?.focus(); input.current?.select(); }
      else if (event.key === "?") setKeys(true);
    };
    document.addEventListener("keydown", pressed);
    document.addEventListener("click", follow);
    return () => { document.removeEventListener("keydown", pressed); document.removeEventListener("click", follow); };
  }, []);
  const may = Object.assign((right) => Boolean(session?.rights?.includes(right)), { here: Boolean(session?.on_this_machine) });

  return html`<a class="skip" href="#main">${TEXT.skip}</a>
    <header class="head">
      <div class="head-line">
        <a class="brand" data-inside href="/"><img src="/static/icon.svg" alt="" width="28" height="28" /><span>${TEXT.product}</span></a>
        <nav aria-label=${TEXT.pages}><ul>${PAGES.filter((page) => page !== "search").map((page) => html`<li key=${page}><a data-inside href=${`/${page}`} aria-current=${state.page === page ? "page" : undefined}>${TEXT[page]}</a></li>`)}</ul></nav>
        <${IconButton} icon="sun" label=${TEXT.theme[theme]} onClick=${nextTheme} />
        <${IconButton} icon="help" label=${TEXT.keys} onClick=${() => setKeys(true)} />
      </div>
      ${session && state.page === "search" && html`<${SearchBar} state=${state} inputRef=${input} />`}
    </header>
    <main id="main" tabindex="-1">
      ${session ? html`<${Content} state=${state} may=${may} events=${events} />` : problem ? html`<${SignIn} problem=${problem} onDone=${begin} />` : html`<${Loading} />`}
    </main>
    ${keys && html`<${Dialog} label=${TEXT.keys} onClose=${() => setKeys(false)} className="small"><h2>${TEXT.keys}</h2>
      <dl class="keys">${TEXT.keyList.map(([key, does]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${does}</dd></div>`)}</dl>
      <div class="buttons"><button type="button" class="primary" onClick=${() => setKeys(false)}>${TEXT.close}</button></div><//>`}`;
}

function Content({ state, may, events }) {
  if (state.page === "folders") return html`<${Folders} key=${state.folder} state=${state} may=${may} />`;
  if (state.page === "duplicates") return html`<${Duplicates} />`;
  if (state.page === "library") return html`<${Library} events=${events} may=${may} />`;
  if (state.page === "models") return html`<${Models} may=${may} />`;
  if (state.page === "help") return html`<${Help} state=${state} />`;
  const asked = request(state);
  if (!asked) return html`<${Welcome} may=${may} />`;
  const current = address({ ...state, open: "" }).split("?")[1] || "";
  return html`<h1 class="unseen">${TEXT.searchFor(state.q || state.parts.map((part) => part.name || part.value).join(", "))}</h1>
    <div class="controls"><${Choices} state=${state} />
      <div class="filter-row"><${FilterChips} filters=${state.filters} onChange=${(filters) => go({ filters, open: "" })} />
        ${state.folder && html`<span class="chip"><${Icon} name="folder" /><${Name}>${state.folder}<//>
          <button type="button" class="chip-remove" aria-label=${TEXT.removeFilter(state.folder)} onClick=${() => go({ folder: "" })}><${Icon} name="close" /></button></span>`}
        <${SavedSearches} may=${may} current=${current} /></div></div>
    <${Results} state=${state} may=${may} />`;
}

function Welcome({ may }) {
  const [status, setStatus] = useState(null);
  const [tags, setTags] = useState([]);
  useEffect(() => {
    call("/status").then(setStatus, () => {});
    call("/tags").then((told) => setTags(told), () => {});
  }, []);
  const total = (status?.counts || []).reduce((sum, one) => sum + one.items, 0);
  if (status && total === 0)
    return html`<section class="welcome"><h1>${TEXT.emptyTitle}</h1><p>${TEXT.emptyHint}</p><pre tabindex="0"><code>${TEXT.emptyCommand}</code></pre></section>`;
  return html`<section class="welcome"><h1>${TEXT.welcome}</h1><p>${TEXT.welcomeHint}</p>
    <div class="chips centred" role="group" aria-label=${TEXT.examples}>${EXAMPLES.map((words) => html`<a class="chip" data-inside key=${words} href=${`/?q=${encodeURIComponent(words)}`}>${words}</a>`)}</div>
    <${SavedSearches} may=${may} />
    ${tags.length > 0 && html`<h2>${TEXT.tags}</h2><div class="chips centred">${tags.slice(0, 30).map((tag) => html`<a class="chip" data-inside key=${tag.name}
      href=${address({ page: "search", q: tag.name, filters: [`tag = '${tag.name.replaceAll("'", "\\'")}'`] })}><${Icon} name="tag" /><${Name}>${tag.name}<//> <span class="count">${tag.count}</span></a>`)}</div>`}
  </section>`;
}

function SignIn({ problem, onDone }) {
  const [error, setError] = useState(null);
  if (problem.status !== 401 && problem.status !== 403) return html`<${Problem} error=${problem} retry=${onDone} />`;
  const send = (event) => {
    event.preventDefault();
    call("/session", { body: { token: event.target.token.value.trim() } }).then(onDone, (told) => setError(told.status === 401 || told.status === 403 ? new ApiError(told.status, { message: TEXT.wrongToken, hint: told.hint }) : told));
  };
  return html`<section class="welcome"><h1>${TEXT.signIn}</h1><p>${TEXT.signInHint}</p>
    <form class="inline" onSubmit=${send}><input name="token" type="password" aria-label=${TEXT.token} placeholder=${TEXT.token} autocomplete="current-password" required /><button class="primary">${TEXT.signInButton}</button></form>
    <${Problem} error=${error} /></section>`;
}

render(html`<${App} />`, document.getElementById("app"));
