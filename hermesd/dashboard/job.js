// One job: what it is, its attempts, payload, result, log and history, and what can be done with it.

import { Problem, get, post, remove } from "./api.js";
import { RUNGS, badge, priorityText, workerLink } from "./badges.js";
import { AttemptLine } from "./attempts.js";
import { EVENT_COLUMNS } from "./columns.js";
import { fill, h, link, say } from "./dom.js";
import { ago, at, moment, span } from "./format.js";
import { keepFresh } from "./fresh.js";
import { facts, jsonBlock, part, textBlock } from "./head.js";
import { JobLog } from "./job_log.js";
import { action, confirmed, faultLine, notice } from "./notices.js";
import { to } from "./router.js";
import { openSubmit } from "./submit.js";
import { Table } from "./table.js";
import { whyItWaits } from "./why.js";

const ENDED = ["succeeded", "failed", "cancelled"];

/** Open the view. */
export function open({ main, route, live, signal }) {
  const id = route.parts[1];
  const fault = faultLine(() => refresh());
  const view = build(id, () => refresh());
  let job = null;
  fill(main, fault.element, view.element);
  const refresh = keepFresh({
    live,
    signal,
    fail: (error) => failed(error, id, fault, view),
    pauseMs: 500,
    wants: (summary) => concerns(summary, id, job),
    load: async () => {
      ({ job } = await get(["jobs", id], {}, signal));
      const { events } = await get(["jobs", id, "events"], {}, signal);
      const attempts = await attemptsOf(id, signal);
      view.element.hidden = false;
      view.show(job, attempts, events);
      view.why(await whyItWaits(job, signal));
      await view.log.load(signal, job.logs_dropped);
    },
  });
  // What a running job has done so far is told between its own news too.
  const clock = setInterval(() => job && !document.hidden && view.tick(job), 1_000);
  signal.addEventListener("abort", () => clearInterval(clock));
  return { title: `Job ${id}` };
}

function failed(error, id, fault, view) {
  if (!(error instanceof Problem) || error.status !== 404) return fault.show(error);
  fault.show(null);
  view.element.hidden = false;
  return fill(
    view.element,
    h("h1", {}, "There is no such job"),
    h(
      "p",
      {},
      `No job has the id ${id}. It may have been deleted: finished jobs are kept as long as [retention] says. `,
      link("#/jobs", "All jobs"),
    ),
  );
}

function concerns({ changed, changed_left_out }, id, job) {
  if (!changed || changed.some(({ job_id }) => job_id === id)) return true;
  return changed_left_out > 0 && (job === null || !ENDED.includes(job.state));
}

async function attemptsOf(id, signal) {
  try {
    return (await get(["jobs", id, "attempts"], {}, signal)).attempts;
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return [];
    throw error;
  }
}

function build(id, refresh) {
  const title = h("div", {});
  const acts = actions(id, refresh);
  const facing = h("div", {});
  const why = h("p", { class: "why", role: "status" });
  const progress = h("div", { class: "progress", role: "status" });
  const attempts = new AttemptLine();
  const error = h("div", {});
  const payload = h("div", {});
  const result = h("div", {});
  const history = historyTable();
  const log = new JobLog(id);
  const element = h(
    "div",
    { hidden: true },
    h("header", { class: "head" }, title, h("div", { class: "acts" }, acts.element)),
    why,
    progress,
    h(
      "div",
      { class: "columns" },
      h("div", {}, facing),
      h("div", {}, error, part("Attempts", attempts.element)),
    ),
    h("div", { class: "columns even" }, part("Payload", payload), part("Result", result)),
    log.element,
    part("History", history.element),
  );
  const kept = {};
  const once = (name, value, draw) => {
    const text = JSON.stringify(value) ?? "";
    if (kept[name] !== text) draw();
    kept[name] = text;
  };
  return {
    element,
    log,
    why: (text) => say(why, text),
    tick: (job) => attempts.tick(job),
    show(job, runs, events) {
      once("title", [job.type, job.state, job.cancel_requested], () => fill(title, titleOf(job)));
      once(
        "facts",
        { ...job, payload: 0, result: 0, progress: 0, progress_note: 0, progress_at: 0 },
        () => fill(facing, factsOf(job)),
      );
      once("progress", [job.state, job.progress, job.progress_note], () =>
        fill(progress, progressOf(job)),
      );
      once("error", [job.error, job.state], () => fill(error, errorOf(job)));
      once("payload", job.payload, () => fill(payload, jsonBlock(job.payload, "Payload")));
      once("result", [job.state, job.result], () => fill(result, resultOf(job)));
      attempts.update(job, runs);
      history.update(
        [...events].reverse().map((event, place) => ({ ...event, key: events.length - place })),
      );
      acts.show(job);
    },
  };
}

function titleOf(job) {
  return [
    h(
      "h1",
      {},
      job.type,
      " ",
      badge(job.state),
      job.cancel_requested && !ENDED.includes(job.state) ? h("small", {}, " asked to end") : null,
    ),
    h("p", { class: "id" }, h("code", {}, job.id)),
  ];
}

function factsOf(job) {
  const waited = moment(job.started_at) - moment(job.run_at ?? job.created_at);
  const took = moment(job.finished_at) - moment(job.started_at);
  const labels = Object.entries(job.labels).map(([name, value]) =>
    h(
      "span",
      { class: "label" },
      link(to("jobs", { label: `${name}:${value}` }), `${name}: ${value}`),
    ),
  );
  return facts([
    ["Type", link(to(["types", job.type]), job.type)],
    ["Queue", link(to("jobs", { queue: job.queue }), job.queue)],
    ["Priority", priorityText(job.priority)],
    ["Worker", job.worker_id && workerLink(job.worker_id)],
    ["Came by", job.rung && (RUNGS[job.rung] ?? job.rung)],
    ["Attempts", `${job.attempts} of ${job.max_attempts}`],
    ["Run", job.run > 1 ? String(job.run) : null],
    ["Time limit", span(job.timeout)],
    ["Created", at(job.created_at)],
    ["Due", job.run_at && [at(job.run_at), " (", ago(job.run_at), ")"]],
    ["Started", job.started_at && at(job.started_at)],
    ["Waited", job.started_at && waited >= 0 ? span(waited) : null],
    ["Ended", job.finished_at && at(job.finished_at)],
    ["Took", job.finished_at && job.started_at ? span(took) : null],
    ["Crashes", job.crash_count || null],
    ["Labels", labels.length ? labels : null],
  ]);
}

function progressOf({ progress, progress_note, state }) {
  if (progress === null || progress === undefined) return null;
  const percent = Math.round(progress * 100);
  return [
    h("progress", { max: 1, value: progress, "aria-label": "Progress of the job" }),
    h(
      "span",
      {},
      `${percent} %`,
      progress_note ? ` · ${progress_note}` : "",
      ENDED.includes(state) ? " at the end" : "",
    ),
  ];
}

function errorOf({ error }) {
  if (!error) return null;
  const traceback = error.traceback
    ? h("details", {}, h("summary", {}, "Traceback"), textBlock(error.traceback, "Traceback"))
    : null;
  return h(
    "section",
    { class: "error-box", "aria-label": "Error" },
    h("h2", {}, error.kind),
    h("p", { class: "message" }, error.message),
    traceback,
  );
}

function resultOf(job) {
  if (job.result !== null) return jsonBlock(job.result, "Result");
  const words = {
    succeeded: "It returned nothing.",
    failed: "It has failed: there is no result.",
    cancelled: "It was cancelled: there is no result.",
  };
  return h("p", { class: "faint" }, words[job.state] ?? "It has not ended yet.");
}

function historyTable() {
  return new Table({
    label: "History",
    key: ({ key }) => String(key),
    empty: "Nothing has happened yet.",
    columns: [
      ...["time", "what", "worker"].map((name) => EVENT_COLUMNS[name]),
      { label: "Run", value: ({ run }) => run, kind: "number wide" },
      { label: "Attempt", value: ({ attempt }) => attempt || "", kind: "number" },
      EVENT_COLUMNS.message,
    ],
  });
}

function actions(id, refresh) {
  const act = (told, call) => async () => {
    await call();
    refresh();
    return told;
  };
  const retry = action(
    "Retry",
    act("The job has a new run.", () => post(["jobs", id, "retry"])),
    { class: "primary" },
  );
  const now = action(
    "Run now",
    act("The job is due now.", () => post(["jobs", id, "retry"])),
  );
  const cancel = action("Cancel", async () => {
    const wanted = await confirmed({
      title: "Cancel this job?",
      text: "A waiting job is cancelled at once; a running one is asked to end.",
      verb: "Cancel the job",
      danger: true,
    });
    if (!wanted) return;
    const { job } = await remove(["jobs", id]);
    notice(job.state === "cancelled" ? "The job is cancelled." : "The job is asked to end.");
    refresh();
  });
  let shown;
  const again = action("Submit another", () => openSubmit(shown.type, shown.payload), {
    class: "quiet",
  });
  return {
    element: h("span", { class: "acts" }, again, retry, now, cancel),
    show(job) {
      const { state, cancel_requested } = (shown = job);
      retry.hidden = state !== "failed";
      now.hidden = state !== "scheduled";
      cancel.hidden = ENDED.includes(state);
      say(cancel, cancel_requested ? "Cancel again" : "Cancel");
    },
  };
}
