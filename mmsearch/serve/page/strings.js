/** Every word that the page says. A translation is a copy of this file. */

export const LANGUAGE = "en";

const plural = (count, one, many) => `${count.toLocaleString(LANGUAGE)} ${count === 1 ? one : many}`;

export const KINDS = {
  image: { one: "picture", many: "Pictures" },
  video: { one: "video", many: "Videos" },
  audio: { one: "sound", many: "Sounds" },
  text: { one: "text", many: "Texts" },
};

export const LEVELS = {
  sure: "sure",
  likely: "likely",
  unlikely: "unlikely",
};

export const LEVEL_MEANINGS = {
  sure: "It answers the query, by all that is known of it.",
  likely: "It is more likely to answer the query than not.",
  unlikely: "It resembles the query, but is more likely not to answer it.",
};

export const TEXT = {
  product: "mmsearch",
  skip: "Skip to the results",
  pages: "Pages",
  search: "Search",
  folders: "Folders",
  duplicates: "Duplicates",
  library: "Library",
  models: "Models",
  help: "Help",
  theme: { auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" },
  query: "Search words",
  placeholder: "Describe it, or drop a picture, a sound or a video",
  placeholderShort: "Search",
  submit: "Search",
  searchFor: (words) => `Search: ${words}`,
  attach: "Search with a file",
  record: "Search with the microphone",
  stopRecording: "Stop recording and search",
  recording: (seconds) => `Recording, ${seconds} s`,
  noMicrophone: "The browser gives a microphone only to pages on this machine or over https. Open this page at localhost, or put a proxy with https before it.",
  microphoneRefused: "The browser refused the microphone. Allow it in the site's settings, and try again.",
  dropHere: "Drop it to search with it",
  part: {
    text: "words",
    item: "result",
    upload: "file",
  },
  weight: (name) => `Weight of ${name}`,
  removePart: (name) => `Remove ${name} from the query`,
  minus: "Look for the opposite of it",
  plus: "Look for it",
  addWords: "Add words",
  all: "All",
  view: "View",
  viewAll: "One list",
  viewLanes: "By kind",
  sort: "Order",
  sortConfidence: "Surest first",
  sortDate: "Newest first",
  filters: "Filters",
  addFilter: "Filter",
  removeFilter: (label) => `Remove the filter ${label}`,
  apply: "Apply",
  cancel: "Cancel",
  close: "Close",
  from: "From",
  to: "To",
  contains: "contains",
  filterFields: {
    taken: "Date taken",
    camera: "Camera",
    size: "Size",
    width: "Width",
    duration: "Length",
    place: "Place",
    tag: "Tag",
    folder: "Folder",
    written: "Written filter",
  },
  filterHints: {
    taken: "A year, month or day: 2024, 2024-05, 2024-05-01",
    size: "Such as 500kB, 10MB, 1GiB",
    width: "Pixels",
    duration: "Seconds, or minutes as 1:30",
    place: "South, west, north and east in degrees, or a circle around a result's place",
    written: "As in a shell: taken >= 2024 and not tag = draft",
  },
  results: (count, more) => (more ? `The first ${plural(count, "result", "results")}` : plural(count, "result", "results")),
  took: (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`),
  nothing: "Nothing in this library answers that.",
  nothingHint: "Use other words, remove a filter, or search for all kinds.",
  nothingSure: "Nothing here is likely to answer that. These resemble it the most:",
  lessSure: (count) => `Less sure: ${plural(count, "more result", "more results")}`,
  hideLessSure: "Hide what is less sure",
  more: "Show more",
  changed: "The library has changed since these results were found.",
  refresh: "Search again",
  searching: "Searching",
  loading: "Loading",
  loadingModel: "The models are still loading. Words can be searched already.",
  source: { said: "said", written: "written" },
  moments: (count) => plural(count, "moment", "moments"),
  copies: (count) => plural(count, "copy", "copies"),
  select: (name) => `Select ${name}`,
  selected: (count) => `${count} selected`,
  clearSelection: "Clear the selection",
  copyPaths: "Copy paths",
  copied: (count) => `${plural(count, "path", "paths")} copied`,
  noClipboard: "The browser gives the clipboard only to pages on this machine or over https. The paths are selected below: copy them with Ctrl+C.",
  download: "Download",
  addTag: "Tag",
  tagName: "Name of the tag",
  tagged: (count, tag) => `${plural(count, "file", "files")} tagged ${tag}`,
  removeTag: (tag) => `Remove the tag ${tag}`,
  similar: "More like this",
  unlike: "Less like this",
  openFolder: "Show in its folder",
  opened: "Opened on this machine.",
  why: "Why was this found?",
  whyHide: "Hide the reasons",
  whyNothing: "The name or the words of the file brought it.",
  concepts: "What the model sees in it that the query asks for",
  cues: "The words that carry it",
  regions: "The places that carry it",
  place: "Where it was found in the picture",
  share: "What each part of the query adds",
  exportClip: "Save this moment as a clip",
  clipFrom: "Clip from",
  clipTo: "to",
  previous: "Previous result",
  next: "Next result",
  position: (n, of) => `${n} of ${of}`,
  facts: {
    folder: "Folder", kind: "Kind", size: "Size", dimensions: "Dimensions", duration: "Length", taken: "Taken",
    modified: "Changed", camera: "Camera", place: "Place", title: "Title", tags: "Tags", moment: "Moment", said: "Said", written: "Written", page: "Page",
    level: "Sureness", cosine: "Cosine", keyword_score: "Words", copies: "Copies", members: "Files beside it",
  },
  confidence: (value) => `${Math.round(value * 100)} %`,
  notPlayable: "The browser can't play this file itself: this is the moment, converted.",
  cantPlay: "This file can't be played here. Download it instead.",
  gone: "The file is not there any more, or was changed since it was taken in. Take its folder in again.",
  saveSearch: "Save this search",
  savedSearches: "Saved searches",
  searchName: "Name of the search",
  removeSearch: (name) => `Forget the saved search ${name}`,
  noSavedSearches: "Searches that you save are listed here.",
  tags: "Tags",
  welcome: "Search your own media with words, a picture or a sound",
  welcomeHint: "Everything stays on this machine.",
  examples: "Try",
  emptyTitle: "This library is empty",
  emptyHint: "Take a folder in from a shell, then come back. Nothing is copied, moved or changed.",
  emptyCommand: "mmsearch ingest ~/Pictures",
  keys: "Keys",
  keyList: [
    ["/", "Go to the search words"],
    ["j, →", "Next result"],
    ["k, ←", "Previous result"],
    ["Enter", "Open the result"],
    ["x", "Select the result; with Shift, all up to it"],
    ["s", "More like this"],
    ["Esc", "Close, or clear the selection"],
    ["?", "Show the keys"],
  ],
  roots: "Folders that were taken in",
  noRoots: "None yet.",
  notThere: "not there: an unmounted disk?",
  counts: "What the library holds",
  failures: "Files that could not be read",
  noFailures: "None.",
  retry: "Try these again",
  updateAll: "Look for changes",
  jobs: "Work",
  noJobs: "Nothing is going on.",
  cancelJob: "Stop",
  jobKinds: { ingest: "Taking in", retry: "Trying again", prune: "Forgetting what is gone" },
  jobStates: { queued: "waits", running: "runs", done: "done", failed: "failed", cancelled: "stopped" },
  left: (text) => `${text} left`,
  ofFiles: (done, total) => `${done.toLocaleString(LANGUAGE)} of ${total.toLocaleString(LANGUAGE)} files`,
  noDuplicates: "No file is there twice.",
  duplicatesHint: "Files that are provably the same. The first one of each group is the one to keep. Nothing is deleted here.",
  keep: "keep",
  freed: (text) => `${text} could be freed`,
  sameKinds: {
    copy: "copy", resaved: "saved again", resized: "smaller", transcoded: "transcoded", cropped: "cropped",
    recoloured: "other colours", burst: "burst", same: "the same",
  },
  modelsHint: "The library is searched with the active model. Another one has to embed every file first.",
  active: "active",
  switchModel: "Use this model",
  notInstalled: "its weights are not on this machine",
  searchIn: (folder) => `Search in ${folder}`,
  everything: "All folders",
  filesIn: (count) => plural(count, "file", "files"),
  emptyFolder: "No file lies right in this folder.",
  signIn: "This page needs the token of the server",
  signInHint: "Open the address that mmsearch serve printed, or paste its token here.",
  token: "Token",
  signInButton: "Open",
  wrongToken: "That is not the token.",
  offline: "The server does not answer. Is mmsearch serve still running?",
  tryAgain: "Try again",
  unknownError: "Something went wrong.",
};

export const EXAMPLES = ["a dog on a beach", "people laughing", "the sound of rain", "a red car at night"];

/** A number of bytes as people write it. */
export function bytes(value) {
  if (value == null) return "";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) { value /= 1000; unit += 1; }
  return `${value.toLocaleString(LANGUAGE, { maximumFractionDigits: value < 10 && unit ? 1 : 0 })} ${units[unit]}`;
}

/** Seconds as m:ss or h:mm:ss. */
export function clock(seconds) {
  if (seconds == null) return "";
  const whole = Math.floor(seconds);
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** Seconds to go, roughly. */
export function roughly(seconds) {
  if (seconds < 90) return plural(Math.max(1, Math.round(seconds)), "second", "seconds");
  if (seconds < 5400) return plural(Math.round(seconds / 60), "minute", "minutes");
  return plural(Math.round(seconds / 3600), "hour", "hours");
}

/** A local time without a zone ("2024-05-01T12:00:00") as a date of the reader's. */
export function day(iso) {
  if (!iso) return "";
  const date = new Date(iso);
  return Number.isNaN(date.valueOf()) ? iso : date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}
