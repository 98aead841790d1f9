/** What the library holds, what is going on, and what could not be read. */

import { html, useEffect, useState } from "./vendor/preact.js";
import { call } from "./api.js";
import { Icon, Loading, Name, Problem, useRequest } from "./parts.js";
import { KINDS, LANGUAGE, TEXT, day, roughly } from "./strings.js";

/** The work of the server, as it tells it. */
export function useJobs(events) {
  const [jobs, setJobs] = useState([]);
  const { data } = useRequest((signal) => call("/jobs", { signal }), "jobs");
  useEffect(() => { if (data) setJobs(data); }, [data]);
  useEffect(() => events.on("progress", (job) => setJobs((old) => [job, ...old.filter((one) => one.id !== job.id)])), []);
  return jobs;
}

export function Library({ events, may }) {
  const status = useRequest((signal) => call("/status", { signal }), "status");
  const failures = useRequest((signal) => call("/failures", { signal }), "failures");
  const roots = useRequest((signal) => call("/roots", { signal }), "roots");
  const jobs = useJobs(events);
  const [error, setError] = useState(null);
  const refresh = () => { status.again(); failures.again(); roots.again(); };
  useEffect(() => events.on("generation", refresh), []);
  const start = (kind) => call("/jobs", { body: { kind } }).then(refresh, setError);
  if (status.error) return html`<${Problem} error=${status.error} retry=${status.again} />`;
  if (!status.data) return html`<${Loading} />`;
  const told = status.data;
  const held = Object.fromEntries(told.counts.map((one) => [one.modality, one]));
  return html`<section class="page" aria-labelledby="library-title">
    <h1 id="library-title">${TEXT.library}</h1>
    <p class="hint"><${Name}>${told.path}<//></p>
    <${Problem} error=${error} />
    <section aria-labelledby="counts-title"><h2 id="counts-title">${TEXT.counts}</h2>
      <ul class="counts">${Object.entries(KINDS).map(([kind, names]) => html`<li key=${kind}><${Icon} name=${kind} /><strong>${(held[kind]?.items || 0).toLocaleString(LANGUAGE)}</strong><span>${names.many}</span></li>`)}</ul></section>
    <section aria-labelledby="jobs-title"><h2 id="jobs-title">${TEXT.jobs}</h2>
      ${may("manage") && html`<div class="buttons"><button type="button" class="primary" onClick=${() => start("ingest")}>${TEXT.updateAll}</button></div>`}
      ${jobs.length ? html`<ul class="jobs">${jobs.map((job) => html`<${Job} key=${job.id} job=${job} may=${may} onError=${setError} />`)}</ul>` : html`<p class="hint">${TEXT.noJobs}</p>`}</section>
    <section aria-labelledby="roots-title"><h2 id="roots-title">${TEXT.roots}</h2>
      <${Problem} error=${roots.error} />
      ${roots.data?.length ? html`<ul class="plain">${roots.data.map((root) => html`<li key=${root.id}><a data-inside href=${`/folders?folder=${encodeURIComponent(root.path)}`}><${Icon} name="folder" /><${Name}>${root.path}<//></a>
         <span class="count">${root.there ? TEXT.filesIn(root.items) : TEXT.notThere}</span></li>`)}</ul>` : html`<p class="hint">${TEXT.noRoots}</p>`}</section>
    <section aria-labelledby="failures-title"><h2 id="failures-title">${TEXT.failures}</h2>
      <${Failures} request=${failures} may=${may} onRetry=${() => start("retry")} /></section>
  </section>`;
}

function Failures({ request, may, onRetry }) {
  if (request.error) return html`<${Problem} error=${request.error} retry=${request.again} />`;
  const all = request.data || [];
  if (!all.length) return html`<p class="hint">${TEXT.noFailures}</p>`;
  const classes = [...new Set(all.map((one) => one.failure))].sort();
  return html`<div>${may("manage") && html`<div class="buttons"><button type="button" onClick=${onRetry}>${TEXT.retry}</button></div>`}
    ${classes.map((name) => {
      const own = all.filter((one) => one.failure === name);
      return html`<details key=${name}><summary>${name} <span class="count">${TEXT.filesIn(own.length)}</span></summary>
        <ul class="plain">${own.slice(0, 200).map((one) => html`<li key=${one.path}><${Name}>${one.path}<//><br /><span class="hint">${one.message}${one.hint ? ` ${one.hint}` : ""}</span></li>`)}</ul></details>`;
    })}</div>`;
}

function Job({ job, may, onError }) {
  const running = job.state === "running" || job.state === "queued";
  const share = job.total ? job.done / job.total : null;
  return html`<li class="job"><span><strong>${TEXT.jobKinds[job.kind] || job.kind}</strong> ${TEXT.jobStates[job.state] || job.state}
      ${job.total ? html` · ${TEXT.ofFiles(job.done, job.total)}` : ""}${running && job.seconds_left != null ? html` · ${TEXT.left(roughly(job.seconds_left))}` : ""}
      ${!running && job.ended ? html` · ${day(job.ended)}` : ""}</span>
    ${running && html`<progress max="1" value=${share ?? undefined} aria-label=${TEXT.jobKinds[job.kind] || job.kind}></progress>`}
    ${job.problem && html`<p class="hint">${job.problem}</p>`}
    ${running && may("manage") && html`<button type="button" onClick=${() => call(`/jobs/${job.id}`, { method: "DELETE" }).catch(onError)}>${TEXT.cancelJob}</button>`}</li>`;
}
