/** One result whole: it plays from its moment, and says what is known of it. */

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { call } from "./api.js";
import { go } from "./address.js";
import { usePeaks } from "./cards.js";
import { Dialog, Icon, IconButton, Level, Name, Problem, Waveform } from "./parts.js";
import { download, toClipboard } from "./selection.js";
import { KINDS, TEXT, bytes, clock, day } from "./strings.js";
import { Reasons } from "./why.js";

export function Viewer({ hits, index, asked, may, onMove, onClose, onSimilar }) {
  const hit = hits[index];
  const step = (by) => { const to = index + by; if (to >= 0 && to < hits.length) onMove(to); };
  const pressed = (event) => {
    if (/^(INPUT|SELECT|TEXTAREA|VIDEO|AUDIO)$/.test(event.target.tagName)) return;
    if (event.key === "ArrowRight" || event.key === "j") step(1);
    else if (event.key === "ArrowLeft" || event.key === "k") step(-1);
    else if (event.key === "s") onSimilar(hit);
    else return;
    event.preventDefault();
  };
  useEffect(() => {
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  });
  return html`<${Dialog} label=${hit.name} onClose=${onClose} className="viewer">
    <div class="viewer-inner">
      <header class="viewer-head">
        <span class="viewer-place">${TEXT.position(index + 1, hits.length)}</span>
        <h2><${Icon} name=${hit.modality} /><${Name}>${hit.name}<//></h2>
        <${IconButton} icon="close" label=${TEXT.close} onClick=${onClose} />
      </header>
      <div class="stage">
        <${IconButton} icon="left" label=${TEXT.previous} onClick=${() => step(-1)} disabled=${index === 0} />
        <${Medium} key=${hit.item_id} hit=${hit} asked=${asked} />
        <${IconButton} icon="right" label=${TEXT.next} onClick=${() => step(1)} disabled=${index === hits.length - 1} />
      </div>
      <${Side} key=${`side${hit.item_id}`} hit=${hit} asked=${asked} may=${may} onSimilar=${onSimilar} />
    </div>
  <//>`;
}

function Medium({ hit, asked }) {
  if (hit.modality === "image") return html`<${Picture} hit=${hit} />`;
  if (hit.modality === "video" || hit.modality === "audio") return html`<${Playing} hit=${hit} />`;
  return html`<${Passage} hit=${hit} asked=${asked} />`;
}

/** The file itself where the browser draws it; else the largest still that the server makes. */
function Picture({ hit }) {
  const large = `${hit.links.thumbnail}?size=2048`;
  const [source, setSource] = useState(large);
  const [size, setSize] = useState(null);
  return html`<figure class="medium"><div class="placed">
    <img src=${source} alt=${hit.name} onLoad=${({ target }) => setSize([target.naturalWidth, target.naturalHeight])} onError=${() => source === large && setSource(hit.links.file)} />
    <${Place} hit=${hit} size=${size} />
  </div></figure>`;
}

/** Where in a picture what was found stands; it is fitted into its element as the picture is. */
function Place({ hit, size }) {
  if (!hit.box || !size) return null;
  const [left, top, right, bottom] = hit.box;
  const [width, height] = size;
  return html`<svg class="place" role="img" aria-label=${TEXT.place} viewBox=${`0 0 ${width} ${height}`}>
    <rect x=${left * width} y=${top * height} width=${(right - left) * width} height=${(bottom - top) * height} />
  </svg>`;
}

/** What a browser plays by itself depends on the browser: where it fails, the server converts the moment. */
function Playing({ hit }) {
  const player = useRef(null);
  const [clipped, setClipped] = useState(false);
  const [failed, setFailed] = useState(false);
  const [at, setAt] = useState(hit.start || 0);
  const [size, setSize] = useState(null);
  const [length, setLength] = useState(hit.metadata?.duration || 0);
  const isVideo = hit.modality === "video";
  const told = usePeaks(hit.links.waveform);
  const begin = clipped ? Math.max(0, (hit.start || 0) - 1) : 0;
  const end = Math.min(length || Infinity, begin + 30);
  const source = clipped ? `${hit.links.clip}?start=${begin}&end=${end}` : `${hit.links.file}${hit.start ? `#t=${hit.start}` : ""}`;
  const broken = () => (clipped || !hit.links.clip ? setFailed(true) : setClipped(true));
  // A browser that knows the container but none of its pictures says so by their size alone.
  const loaded = (event) => {
    const element = event.target;
    if (isVideo && element.videoWidth === 0) { broken(); return; }
    if (isVideo) setSize([element.videoWidth, element.videoHeight]);
    if (!clipped && Number.isFinite(element.duration)) setLength(element.duration);
  };
  const seek = (seconds) => {
    if (!player.current) return;
    player.current.currentTime = Math.max(0, seconds - begin);
    player.current.play?.().catch(() => {});
  };
  const moments = hit.moments?.length ? hit.moments : hit.start != null ? [{ start: hit.start, end: hit.end }] : [];
  if (failed) return html`<figure class="medium"><p class="lost">${TEXT.cantPlay}</p></figure>`;
  const given = { ref: player, src: source, controls: true, preload: "metadata", onError: broken, onLoadedMetadata: loaded, onTimeUpdate: (event) => setAt(event.target.currentTime + begin), "aria-label": hit.name };
  return html`<figure class=${`medium playing ${isVideo ? "" : "sounding"}`}>
    ${isVideo ? html`<div class="placed"><video ...${given} playsinline poster=${hit.links.poster ? `${hit.links.poster}?t=${hit.start || 0}` : undefined}></video>
      ${at >= (hit.start || 0) - 0.1 && at <= (hit.end ?? Infinity) && html`<${Place} hit=${hit} size=${size} />`}</div>` : html`<audio ...${given}></audio>`}
    ${clipped && html`<p class="hint">${TEXT.notPlayable}</p>`}
    ${length > 0 && html`<div class="timeline">
      ${told && html`<${Waveform} peaks=${told.many} duration=${length} start=${hit.start} end=${hit.end} played=${at} />`}
      ${moments.map((moment) => html`<button type="button" class="tick" key=${moment.start} onClick=${() => seek(moment.start)}
        aria-label=${`${TEXT.facts.moment} ${clock(moment.start)}`} title=${`${clock(moment.start)}${moment.passage ? `: ${moment.passage}` : ""}`}
        style=${{ left: `${(moment.start / length) * 100}%`, width: `${Math.max(0.8, (((moment.end ?? moment.start) - moment.start) / length) * 100)}%` }}></button>`)}
    </div>`}
  </figure>`;
}

function Passage({ hit, asked }) {
  const words = (asked?.parts || []).flatMap((part) => (part.text ? part.text.split(/[^\p{L}\p{N}]+/u) : [])).filter((word) => word.length > 2);
  const text = hit.passage || "";
  const pattern = words.length ? new RegExp(`(${words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")})`, "giu") : null;
  const pieces = pattern ? text.split(pattern) : [text];
  return html`<figure class="medium reading"><blockquote dir="auto">${pieces.map((piece, n) => (n % 2 ? html`<mark key=${n}>${piece}</mark>` : piece))}</blockquote></figure>`;
}

function Side({ hit, asked, may, onSimilar }) {
  const [said, setSaid] = useState("");
  const [error, setError] = useState(null);
  const [why, setWhy] = useState(false);
  const [item, setItem] = useState(null);
  useEffect(() => {
    const control = new AbortController();
    call(`/items/${hit.item_id}`, { signal: control.signal }).then(setItem, (problem) => control.signal.aborted || setError(problem));
    return () => control.abort();
  }, []);
  const copy = async () => setSaid((await toClipboard(hit.path)) ? TEXT.copied(1) : hit.path);
  const reveal = () => call(`/items/${hit.item_id}/reveal`, { method: "POST" }).then(() => setSaid(TEXT.opened), setError);
  const tag = async (add, remove) => {
    try {
      await call("/tags", { body: { items: [hit.item_id], add, remove } });
      setItem(await call(`/items/${hit.item_id}`));
    } catch (problem) { setError(problem); }
  };
  const slash = Math.max(hit.path.lastIndexOf("/"), hit.path.lastIndexOf("\\"));
  const folder = hit.path.slice(0, slash);
  const known = hit.metadata || {};
  const facts = [
    ["level", html`<${Level} level=${hit.level} confidence=${hit.confidence} />`, hit.level],
    ["folder", html`<a data-inside href=${`/folders?folder=${encodeURIComponent(folder)}`}><${Name}>${folder}<//></a>`, folder],
    ["taken", day(item?.taken), item?.taken],
    ["modified", day(item?.modified), !item?.taken && item?.modified],
    ["dimensions", `${known.width} × ${known.height}`, known.width && known.height],
    ["duration", clock(known.duration), known.duration],
    ["size", bytes(item?.size), item?.size != null],
    ["camera", html`<${Name}>${item?.camera}<//>`, item?.camera],
    ["place", item?.gps && item.gps.map((one) => one.toFixed(4)).join(", "), item?.gps],
    ["title", html`<${Name}>${item?.title}<//>`, item?.title],
    ["moment", `${clock(hit.start)} – ${clock(hit.end)}`, hit.start != null && hit.modality !== "text"],
    [hit.source, html`<q dir="auto">${hit.passage}</q>`, TEXT.source[hit.source] && hit.passage],
    ["page", hit.place || hit.page, hit.place || hit.page],
    ["copies", html`<ul>${hit.duplicates?.map((path) => html`<li key=${path}><${Name}>${path}<//></li>`)}</ul>`, hit.duplicates?.length],
    ["members", html`<ul>${hit.members?.map((path) => html`<li key=${path}><${Name}>${path}<//></li>`)}</ul>`, hit.members?.length],
  ];
  return html`<aside class="side">
    <div class="buttons">
      <button type="button" class="primary" onClick=${() => onSimilar(hit)}><${Icon} name="search" />${TEXT.similar}</button>
      <button type="button" onClick=${() => onSimilar(hit, -0.5)}><${Icon} name="minus" />${TEXT.unlike}</button>
      <button type="button" onClick=${copy}><${Icon} name="copy" />${TEXT.copyPaths}</button>
      <button type="button" onClick=${() => download([hit])}><${Icon} name="download" />${TEXT.download}</button>
      ${may.here && html`<button type="button" onClick=${reveal}><${Icon} name="folder" />${TEXT.openFolder}</button>`}
    </div>
    <p class="said" role="status">${said}</p>
    <${Problem} error=${error} />
    <dl class="facts">${facts.filter(([, , shown]) => shown).map(([name, value]) => html`<div key=${name}><dt>${TEXT.facts[name]}</dt><dd>${value}</dd></div>`)}</dl>
    <section class="tags" aria-label=${TEXT.tags}>
      <h3>${TEXT.tags}</h3>
      <div class="chips">${(item?.tags || []).map((name) => html`<span class="chip" key=${name}><${Icon} name="tag" /><button type="button" class="chip-link"
          onClick=${() => go({ open: "", filters: [`tag = '${name.replaceAll("'", "\\'")}'`] })}><${Name}>${name}<//></button>
        ${may("tag") && html`<button type="button" class="chip-remove" aria-label=${TEXT.removeTag(name)} title=${TEXT.removeTag(name)} onClick=${() => tag([], [name])}><${Icon} name="close" /></button>`}</span>`)}</div>
      ${may("tag") && html`<form class="inline" onSubmit=${(event) => { event.preventDefault(); const name = event.target.tag.value.trim(); if (name) { tag([name], []); event.target.reset(); } }}>
        <input name="tag" aria-label=${TEXT.tagName} placeholder=${TEXT.tagName} autocomplete="off" /><button>${TEXT.addTag}</button></form>`}
    </section>
    ${(hit.modality === "video" || hit.modality === "audio") && hit.links.clip && html`<${ClipForm} hit=${hit} />`}
    <section class="why">
      <button type="button" aria-expanded=${why} onClick=${() => setWhy(!why)}><${Icon} name="help" />${why ? TEXT.whyHide : TEXT.why}</button>
      ${why && asked && html`<${Reasons} hit=${hit} asked=${asked} />`}
    </section>
  </aside>`;
}

function ClipForm({ hit }) {
  const [from, setFrom] = useState(Math.floor(hit.start || 0));
  const [to, setTo] = useState(Math.ceil(hit.end ?? (hit.start || 0) + 10));
  const address = `${hit.links.clip}?start=${from}&end=${to}&download=true`;
  return html`<form class="inline clip" onSubmit=${(event) => event.preventDefault()}>
    <label>${TEXT.clipFrom} <input type="number" min="0" step="0.1" value=${from} onInput=${(event) => setFrom(Number(event.target.value))} /></label>
    <label>${TEXT.clipTo} <input type="number" min="0" step="0.1" value=${to} onInput=${(event) => setTo(Number(event.target.value))} /></label>
    <a class="button" href=${address} download=${`${hit.name.replace(/\.[^.]*$/, "")} ${from}-${to}.webm`}><${Icon} name="download" />${TEXT.exportClip}</a>
  </form>`;
}
