/** Requests to the server. Every error becomes an ApiError that says what to do. */

import { TEXT } from "./strings.js";

const BASE = "/api/v1";

export class ApiError extends Error {
  constructor(status, told) {
    super(told?.message || TEXT.unknownError);
    this.status = status;
    this.code = told?.code || "";
    this.hint = told?.hint || "";
  }
}

/** The JSON that a route answers, null for an empty answer. `body` is sent as JSON, `form` as it is. */
export async function call(path, { method, body, form, signal } = {}) {
  const given = { method: method || (body || form ? "POST" : "GET"), signal, headers: { accept: "application/json" }, credentials: "same-origin" };
  if (body !== undefined) {
    given.headers["content-type"] = "application/json";
    given.body = JSON.stringify(body);
  } else if (form) given.body = form;
  let answer;
  try {
    answer = await fetch(BASE + path, given);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { code: "Offline", message: TEXT.offline });
  }
  const text = await answer.text();
  let told = null;
  try { told = text ? JSON.parse(text) : null; } catch { /* not JSON: an answer of something between */ }
  if (!answer.ok) throw new ApiError(answer.status, told);
  return told;
}

/** Parameters as a query string; what is null or empty is left out. */
export function parameters(given) {
  const made = new URLSearchParams();
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === "" || (Array.isArray(value) && !value.length)) continue;
    made.set(name, Array.isArray(value) ? value.join(",") : value);
  }
  const text = made.toString();
  return text ? `?${text}` : "";
}

export async function upload(file, signal) {
  const form = new FormData();
  form.append("file", file, file.name || "recording");
  return call("/uploads", { form, signal });
}

/** Listens to what the server says of its work. `on` maps the name of an event to a function of its data. Returns a
 * function that ends it. The browser connects again by itself. */
export function listen(on) {
  const source = new EventSource(`${BASE}/events`);
  for (const [name, told] of Object.entries(on))
    source.addEventListener(name, (event) => {
      let data = null;
      try { data = JSON.parse(event.data); } catch { return; }
      told(data);
    });
  return () => source.close();
}
