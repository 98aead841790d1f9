/** Results as cards: of one height each, in one list; or each kind in a lane of its own, sounds and texts as rows. */

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { call } from "./api.js";
import { Icon, Level, Name, Waveform } from "./parts.js";
import { KINDS, LEVELS, TEXT, clock } from "./strings.js";

/** Width by height of what a card shows. */
export function ratio(hit) {
  const { width, height } = hit.metadata || {};
  if (hit.modality === "image" && width && height) return Math.min(2.4, Math.max(0.6, width / height));
  if (hit.modality === "video") return width && height ? Math.min(2.4, Math.max(0.6, width / height)) : 16 / 9;
  return hit.modality === "audio" ? 1.9 : 1.6;
}

const spoken = (hit) => {
  const level = hit.level ? `, ${LEVELS[hit.level]}` : "";
  return `${hit.rank}. ${KINDS[hit.modality]?.one || hit.modality} ${hit.name}${level}`;
};

export function Card({ hit, index, row, selected, onSelect, onOpen }) {
  const kind = hit.modality;
  const size = ratio(hit);
  const shape = row ? {} : { flexGrow: size, flexBasis: `calc(var(--card-height) * ${size})`, aspectRatio: String(size) };
  return html`<li class=${`card card-${kind} ${row ? "row" : ""} ${selected ? "selected" : ""}`} style=${shape}>
    <a class="card-link" href=${onOpen.address(hit)} data-index=${index} aria-label=${spoken(hit)}
      onClick=${(event) => { if (!event.ctrlKey && !event.metaKey && !event.shiftKey) { event.preventDefault(); onOpen(index); } }}>
      <${Face} hit=${hit} row=${row} />
      <span class="card-foot">
        <span class="card-name"><${Icon} name=${kind} /><${Name}>${hit.name}<//></span>
        <span class="card-facts">
          <${Level} level=${hit.level} confidence=${hit.confidence} />
          ${hit.start != null && kind !== "text" && html`<span class="at">${clock(hit.start)}</span>`}
          ${hit.place && html`<span class="at">${hit.place}</span>`}
          ${TEXT.source[hit.source] && html`<span class="told" title=${hit.passage}>${TEXT.source[hit.source]} “<bdi>${hit.passage}</bdi>”</span>`}
          ${hit.moments?.length > 1 && html`<span class="at">${TEXT.moments(hit.moments.length)}</span>`}
          ${hit.duplicates?.length > 0 && html`<span class="at">+ ${TEXT.copies(hit.duplicates.length)}</span>`}
        </span>
      </span>
    </a>
    <label class="card-select"><input type="checkbox" checked=${selected} aria-label=${TEXT.select(hit.name)}
      onClick=${(event) => onSelect(index, event.shiftKey)} /></label>
  </li>`;
}

function Face({ hit, row }) {
  if (hit.modality === "image") return html`<${Still} hit=${hit} source=${hit.links.thumbnail} />`;
  if (hit.modality === "video") return html`<${Moving} hit=${hit} />`;
  if (hit.modality === "audio") return html`<${Sound} hit=${hit} />`;
  return html`<span class="face passage" dir="auto">${hit.passage || hit.metadata?.title || hit.name}</span>`;
}

function Still({ hit, source }) {
  const [gone, setGone] = useState(false);
  if (gone || !source) return html`<span class="face lost"><${Icon} name=${hit.modality} /></span>`;
  return html`<img class="face" src=${`${source}${source.includes("?") ? "&" : "?"}size=640`} alt="" loading="lazy" decoding="async" onError=${() => setGone(true)} />`;
}

/** Frames of a video in one picture, five in a row: they are shown as the pointer moves along, and loaded only then. */
const COLUMNS = 5, ROWS = 4;

function Moving({ hit }) {
  const [frame, setFrame] = useState(null);
  const moved = (event) => {
    if (event.pointerType === "touch" || !hit.links.sprite) return;
    const box = event.currentTarget.getBoundingClientRect();
    const share = Math.min(0.999, Math.max(0, (event.clientX - box.left) / box.width));
    setFrame(Math.floor(share * COLUMNS * ROWS));
  };
  const place = frame == null ? {} : {
    backgroundImage: `url("${hit.links.sprite}")`,
    backgroundSize: `${COLUMNS * 100}% ${ROWS * 100}%`,
    backgroundPosition: `${((frame % COLUMNS) / (COLUMNS - 1)) * 100}% ${(Math.floor(frame / COLUMNS) / (ROWS - 1)) * 100}%`,
  };
  const poster = hit.links.poster && hit.start != null ? `${hit.links.poster}?t=${hit.start}` : hit.links.poster || hit.links.thumbnail;
  return html`<span class="face moving" onPointerMove=${moved} onPointerLeave=${() => setFrame(null)}>
    <${Still} hit=${hit} source=${poster} />
    ${frame != null && html`<span class="scrub" style=${place}><span class="scrub-line" style=${{ width: `${((frame + 1) / (COLUMNS * ROWS)) * 100}%` }}></span></span>`}
    <span class="badge"><${Icon} name="play" />${clock(hit.metadata?.duration)}</span>
  </span>`;
}

const known = new Map();

/** The loudest of each stretch, of `count` stretches, in [0, 1]. */
function coarser(peaks, count) {
  const step = peaks.length / Math.min(count, peaks.length);
  return Array.from({ length: Math.round(peaks.length / step) }, (_, n) => Math.max(...peaks.slice(Math.floor(n * step), Math.max(Math.floor(n * step) + 1, Math.floor((n + 1) * step)))));
}

/** How loud a sound is along its time, asked for once: {duration, few, many} in [0, 1]; null while it is not known. */
export function usePeaks(address) {
  const [told, set] = useState(known.get(address) || null);
  useEffect(() => {
    let ended = false;
    if (!address) return undefined;
    if (known.has(address)) { set(known.get(address)); return undefined; }
    call(address.replace(/^\/api\/v1/, "")).then(
      (found) => {
        const made = found?.peaks?.length ? { duration: found.duration, few: coarser(found.peaks, 90), many: found.peaks } : null;
        known.set(address, made);
        if (!ended) set(made);
      },
      () => {},
    );
    return () => { ended = true; };
  }, [address]);
  return told;
}

function Sound({ hit }) {
  const [seen, setSeen] = useState(false);
  const element = useRef(null);
  useEffect(() => {
    const watcher = new IntersectionObserver((entries) => entries.some((one) => one.isIntersecting) && setSeen(true), { rootMargin: "200px" });
    watcher.observe(element.current);
    return () => watcher.disconnect();
  }, []);
  const told = usePeaks(seen ? hit.links.waveform : null);
  return html`<span class="face sound" ref=${element}>
    ${told ? html`<${Waveform} peaks=${told.few} duration=${told.duration} start=${hit.start} end=${hit.end} />` : html`<${Icon} name="audio" />`}
    <span class="badge"><${Icon} name="play" />${clock(hit.metadata?.duration)}</span>
  </span>`;
}
