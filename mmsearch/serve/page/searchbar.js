/** What is asked: words, and things beside them, each with its weight. Drop, paste, choose or record a file. */

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { upload } from "./api.js";
import { go } from "./address.js";
import { Icon, IconButton, Name, Problem } from "./parts.js";
import { startRecording } from "./record.js";
import { KINDS, TEXT } from "./strings.js";

const WEIGHTS = [0.25, 0.5, 1, 2, 4];
/** Names of what has a still; a sound or a text has none to show. */
const PICTURED = /\.(jpe?g|png|gif|webp|hei[cf]|avif|tiff?|bmp|mp4|m4v|mov|webm|mkv|avi|dng|nef|cr[23]|arw|raf|orf|rw2)$/i;
const DRAGS_FILES = (event) => [...(event.dataTransfer?.types || [])].includes("Files");

export function SearchBar({ state, inputRef }) {
  const [words, setWords] = useState(state.q);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const [dragging, setDragging] = useState(false);
  const chooser = useRef(null);
  useEffect(() => setWords(state.q), [state.q]);

  const ask = (patch) => go({ page: "search", topic: "", open: "", q: words.trim(), ...patch });
  const askWith = async (file) => {
    if (!file) return;
    setError(null);
    setBusy(true);
    try {
      const told = await upload(file);
      const part = { kind: "upload", value: told.id, name: told.name || file.name, weight: 1 };
      ask({ parts: [...state.parts.filter((one) => one.kind !== "upload"), part] });
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };

  useEffect(() => {
    let depth = 0;
    const enter = (event) => { if (DRAGS_FILES(event)) { depth += 1; setDragging(true); } };
    const leave = (event) => { if (DRAGS_FILES(event) && --depth <= 0) { depth = 0; setDragging(false); } };
    const over = (event) => { if (DRAGS_FILES(event)) event.preventDefault(); };
    const drop = (event) => {
      depth = 0;
      setDragging(false);
      if (!event.dataTransfer?.files.length) return;
      event.preventDefault();
      askWith(event.dataTransfer.files[0]);
    };
    const paste = (event) => {
      const file = event.clipboardData?.files[0];
      if (file) { event.preventDefault(); askWith(file); }
    };
    const events = { dragenter: enter, dragleave: leave, dragover: over, drop, paste };
    for (const [name, told] of Object.entries(events)) document.addEventListener(name, told);
    return () => { for (const [name, told] of Object.entries(events)) document.removeEventListener(name, told); };
  });

  return html`<div class="asking">
    <form class="bar" role="search" onSubmit=${(event) => { event.preventDefault(); ask({}); }}>
      <${Icon} name="search" />
      <input ref=${inputRef} type="search" name="q" aria-label=${TEXT.query} autocomplete="off" spellcheck="false" dir="auto"
        placeholder=${window.innerWidth < 560 ? TEXT.placeholderShort : TEXT.placeholder} value=${words} onInput=${(event) => setWords(event.target.value)} />
      ${busy && html`<span class="spinner" role="status" aria-label=${TEXT.searching}></span>`}
      <${Recorder} onMade=${askWith} onError=${setError} />
      <${IconButton} icon="attach" label=${TEXT.attach} onClick=${() => chooser.current.click()} />
      <input ref=${chooser} type="file" hidden accept="image/*,audio/*,video/*,text/*,.pdf"
        onChange=${(event) => { askWith(event.target.files[0]); event.target.value = ""; }} />
      <button class="primary">${TEXT.submit}</button>
    </form>
    ${state.parts.length > 0 && html`<${QueryParts} parts=${state.parts} onChange=${(parts) => ask({ parts })} />`}
    <${Problem} error=${error} />
    ${dragging && html`<div class="dropping" aria-hidden="true"><p>${TEXT.dropHere}</p></div>`}
  </div>`;
}

function QueryParts({ parts, onChange }) {
  const changed = (n, patch) => onChange(parts.map((part, m) => (m === n ? { ...part, ...patch } : part)));
  return html`<div class="chips parts" role="group" aria-label=${TEXT.query}>
    ${parts.map((part, n) => {
      const name = part.name || part.value;
      const minus = part.weight < 0;
      return html`<span class=${`chip part ${minus ? "negative" : ""}`} key=${`${part.kind}${part.value}${n}`}>
        ${part.kind === "like" && PICTURED.test(name) && html`<img src=${`/api/v1/items/${encodeURIComponent(part.value)}/thumbnail?size=160`} alt="" onError=${(event) => event.target.remove()} />`}
        <button type="button" class="chip-sign" aria-pressed=${minus} aria-label=${minus ? TEXT.plus : TEXT.minus} title=${minus ? TEXT.plus : TEXT.minus}
          onClick=${() => changed(n, { weight: -part.weight })}><${Icon} name=${minus ? "minus" : "plus"} /></button>
        <${Name}>${name}<//>
        <select aria-label=${TEXT.weight(name)} value=${Math.abs(part.weight)}
          onChange=${(event) => changed(n, { weight: Number(event.target.value) * (minus ? -1 : 1) })}>
          ${[...new Set([...WEIGHTS, Math.abs(part.weight)])].sort((a, b) => a - b).map((weight) => html`<option value=${weight} selected=${weight === Math.abs(part.weight)}>× ${weight}</option>`)}
        </select>
        <button type="button" class="chip-remove" aria-label=${TEXT.removePart(name)} title=${TEXT.removePart(name)}
          onClick=${() => onChange(parts.filter((_, m) => m !== n))}><${Icon} name="close" /></button>
      </span>`;
    })}
  </div>`;
}

function Recorder({ onMade, onError }) {
  const [recording, setRecording] = useState(null);
  const [seconds, setSeconds] = useState(0);
  useEffect(() => {
    if (!recording) return undefined;
    const timer = setInterval(() => setSeconds((n) => n + 1), 1000);
    return () => clearInterval(timer);
  }, [recording]);
  const start = async () => {
    onError(null);
    setSeconds(0);
    try { setRecording(await startRecording()); } catch (error) { onError(error); }
  };
  const stop = async () => {
    const file = await recording.stop();
    setRecording(null);
    onMade(file);
  };
  return recording
    ? html`<button type="button" class="recording" onClick=${stop} aria-label=${TEXT.stopRecording}><${Icon} name="stop" /><span role="timer">${TEXT.recording(seconds)}</span></button>`
    : html`<${IconButton} icon="mic" label=${TEXT.record} onClick=${start} />`;
}

/** Kinds, order and view of what is found. */
export function Choices({ state }) {
  const toggled = (kind) => (state.modalities.includes(kind) ? state.modalities.filter((one) => one !== kind) : [...state.modalities, kind]);
  return html`<div class="choices-row">
    <div class="kinds" role="group" aria-label=${TEXT.filters}>
      <button type="button" class="kind" aria-pressed=${!state.modalities.length} onClick=${() => go({ modalities: [] })}>${TEXT.all}</button>
      ${Object.entries(KINDS).map(([kind, names]) => html`<button type="button" class="kind" key=${kind} aria-pressed=${state.modalities.includes(kind)}
        onClick=${() => go({ modalities: toggled(kind) })}><${Icon} name=${kind} /><span>${names.many}</span></button>`)}
    </div>
    <div class="views">
      <label>${TEXT.view} <select value=${state.view} onChange=${(event) => go({ view: event.target.value })}>
        <option value="all" selected=${state.view === "all"}>${TEXT.viewAll}</option><option value="lanes" selected=${state.view === "lanes"}>${TEXT.viewLanes}</option></select></label>
      <label>${TEXT.sort} <select value=${state.sort} onChange=${(event) => go({ sort: event.target.value })}>
        <option value="confidence" selected=${state.sort === "confidence"}>${TEXT.sortConfidence}</option><option value="date" selected=${state.sort === "date"}>${TEXT.sortDate}</option></select></label>
    </div>
  </div>`;
}
