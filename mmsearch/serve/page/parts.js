/** Small pieces that every page uses. */

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { LEVELS, LEVEL_MEANINGS, TEXT } from "./strings.js";

const PATHS = {
  search: "M10.5 3a7.5 7.5 0 1 0 4.6 13.4l4.7 4.7 1.4-1.4-4.7-4.7A7.5 7.5 0 0 0 10.5 3Zm0 2a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11Z",
  image: "M4 4h16a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1Zm1 2v9.6l4-4 4 4 2.5-2.5L19 16.6V6H5Zm10.5 1.5a1.75 1.75 0 1 1 0 3.5 1.75 1.75 0 0 1 0-3.5Z",
  video: "M4 5h11a1 1 0 0 1 1 1v3l4.5-2.5A.5.5 0 0 1 21 7v10a.5.5 0 0 1-.5.5L16 15v3a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1Zm1 2v10h9V7H5Z",
  audio: "M11 5v14l-5-4H3V9h3l5-4Zm3.5 3.2a5 5 0 0 1 0 7.6l-1.3-1.5a3 3 0 0 0 0-4.6l1.3-1.5Zm2.6-3a9 9 0 0 1 0 13.6l-1.3-1.5a7 7 0 0 0 0-10.6l1.3-1.5Z",
  text: "M5 3h10l4 4v14H5V3Zm2 2v14h10V8h-3V5H7Zm2 6h6v1.6H9V11Zm0 3.4h6V16H9v-1.6Z",
  attach: "M16.5 6.5 9 14a1.5 1.5 0 0 0 2.1 2.1l8-8a3.5 3.5 0 0 0-5-5l-8 8a5.5 5.5 0 0 0 7.8 7.8l6.6-6.6-1.4-1.4-6.6 6.6a3.5 3.5 0 0 1-5-5l8-8a1.5 1.5 0 0 1 2.2 2.2l-8 8L9.6 15l7.5-7.5-.6-1Z",
  mic: "M12 3a3 3 0 0 1 3 3v6a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3Zm-6.5 8h2a4.5 4.5 0 0 0 9 0h2a6.5 6.5 0 0 1-5.5 6.4V21h-2v-3.6A6.5 6.5 0 0 1 5.5 11Z",
  stop: "M6 6h12v12H6z",
  close: "m6.4 5 5.6 5.6L17.6 5 19 6.4 13.4 12l5.6 5.6-1.4 1.4-5.6-5.6L6.4 19 5 17.6l5.6-5.6L5 6.4 6.4 5Z",
  left: "m14.5 5 1.4 1.4L10.3 12l5.6 5.6-1.4 1.4-7-7 7-7Z",
  right: "m9.5 5-1.4 1.4 5.6 5.6-5.6 5.6L9.5 19l7-7-7-7Z",
  play: "M7 4.5v15l12.5-7.5L7 4.5Z",
  plus: "M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6V5Z",
  minus: "M5 11h14v2H5z",
  folder: "M3 5h6l2 2h10v12H3V5Zm2 4v8h14V9H5Z",
  copy: "M8 3h11v14h-3v4H5V7h3V3Zm2 4h6v8h1V5h-7v2Zm-3 2v10h7V9H7Z",
  download: "M11 4h2v8l3-3 1.4 1.4L12 15.8l-5.4-5.4L8 9l3 3V4ZM5 18h14v2H5v-2Z",
  tag: "M3 3h9l9 9-9 9-9-9V3Zm2 2v6.2l7 7 6.2-6.2-7-7H5Zm3 1.5a1.6 1.6 0 1 1 0 3.2 1.6 1.6 0 0 1 0-3.2Z",
  star: "m12 3 2.7 5.8 6.3.8-4.6 4.4 1.2 6.2-5.6-3-5.6 3 1.2-6.2L3 9.6l6.3-.8L12 3Z",
  check: "m9.5 16.2-4-4L4 13.6l5.5 5.5L20 8.600 18.600 7.200 9.500 16.200Z",
  filter: "M3 5h18v2l-7 7v5l-4 2v-7L3 7V5Z",
  sun: "M12 7a5 5 0 1 1 0 10 5 5 0 0 1 0-10Zm-1-5h2v3h-2V2Zm0 17h2v3h-2v-3ZM2 11h3v2H2v-2Zm17 0h3v2h-3v-2ZM4.200 5.600l1.400-1.400 2.100 2.100-1.400 1.400-2.100-2.100Zm12.100 12.100 1.400-1.400 2.100 2.100-1.400 1.400-2.100-2.100ZM4.200 18.400l2.100-2.100 1.400 1.400-2.100 2.100-1.400-1.400ZM16.300 6.300l2.100-2.100 1.400 1.400-2.100 2.100-1.400-1.400Z",
  help: "M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18Zm0 2a7 7 0 1 0 0 14 7 7 0 0 0 0-14Zm-1 10h2v2h-2v-2Zm1-8.500c2 0 3.300 1.200 3.300 2.900 0 1.300-.7 2-1.500 2.600-.6.500-.8.700-.8 1.300v.5h-2v-.7c0-1.400.7-2 1.500-2.600.6-.5.8-.7.8-1.200 0-.6-.5-1-1.300-1-.9 0-1.400.6-1.500 1.500l-2-.2C8.600 7.700 10 6.500 12 6.500Z",
};

export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d=${PATHS[name]} /></svg>`;
}

/** A name, a path or another thing's words, whatever direction they are written in. */
export function Name({ children }) {
  return html`<bdi>${children}</bdi>`;
}

export function IconButton({ icon, label, onClick, pressed, ...more }) {
  return html`<button type="button" class="icon-button" aria-label=${label} title=${label} aria-pressed=${pressed}
    onClick=${onClick} ...${more}><${Icon} name=${icon} /></button>`;
}

/** How sure a hit is: never by colour alone. */
export function Level({ level, confidence }) {
  if (!level) return null;
  const share = confidence == null ? "" : TEXT.confidence(confidence);
  return html`<span class="level level-${level}" title=${LEVEL_MEANINGS[level]}>
    <span class="dot" aria-hidden="true"></span>${LEVELS[level]} <span class="share">${share}</span></span>`;
}

/** What went wrong, and what to do. */
export function Problem({ error, retry }) {
  if (!error) return null;
  return html`<div class="notice problem" role="alert">
    <p><strong>${error.message}</strong>${error.hint && html`<br /><span>${error.hint}</span>`}</p>
    ${retry && html`<button type="button" onClick=${retry}>${TEXT.tryAgain}</button>`}
  </div>`;
}

export function Loading({ label = TEXT.loading }) {
  return html`<p class="loading" role="status"><span class="spinner" aria-hidden="true"></span>${label}</p>`;
}

/** What a request answers: {data, error, loading, again}. It is made anew when `key` changes, the old one dropped. */
export function useRequest(make, key) {
  const [state, set] = useState({ data: null, error: null, loading: true });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const control = new AbortController();
    set((old) => ({ ...old, error: null, loading: true }));
    Promise.resolve(make(control.signal)).then(
      (data) => control.signal.aborted || set({ data, error: null, loading: false }),
      (error) => control.signal.aborted || set({ data: null, error, loading: false }),
    );
    return () => control.abort();
  }, [key, turn]);
  return { ...state, again: () => setTurn((n) => n + 1), set: (data) => set({ data, error: null, loading: false }) };
}

/** A dialog of the browser's own: it holds the focus, and Escape closes it. */
export function Dialog({ label, onClose, className = "", children }) {
  const element = useRef(null);
  useEffect(() => {
    const dialog = element.current;
    const before = document.activeElement;
    dialog.showModal();
    return () => { dialog.close(); before?.focus?.(); };
  }, []);
  return html`<dialog ref=${element} class=${className} aria-label=${label}
    onCancel=${(event) => { event.preventDefault(); onClose(); }}
    onClick=${(event) => event.target === element.current && onClose()}>${children}</dialog>`;
}

/** Peaks in [0, 1] as bars, the matched stretch in another shade. */
export function Waveform({ peaks, duration, start, end, played }) {
  const step = 100 / Math.max(peaks.length, 1);
  const inside = (n) => {
    const at = ((n + 0.5) / peaks.length) * duration;
    return start != null && duration && at >= start && at <= (end ?? duration);
  };
  return html`<svg class="waveform" viewBox="0 0 100 40" preserveAspectRatio="none" aria-hidden="true" focusable="false">
    ${start != null && duration > 0 && html`<rect class="matched" x=${(start / duration) * 100} y="0"
      width=${Math.max(0.5, (((end ?? duration) - start) / duration) * 100)} height="40" />`}
    ${peaks.map((peak, n) => html`<rect class=${inside(n) ? "peak inside" : "peak"} x=${n * step + step * 0.15}
      width=${step * 0.7} y=${20 - Math.max(0.6, peak * 19)} height=${2 * Math.max(0.6, peak * 19)} />`)}
    ${played != null && duration > 0 && html`<rect class="played" x=${(played / duration) * 100} y="0" width="0.4" height="40" />`}
  </svg>`;
}
