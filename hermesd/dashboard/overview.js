// The overview: rates and depths now, charts of a window of time, what went wrong last.

import { get } from "./api.js";
import { RUNGS } from "./badges.js";
import { Chart } from "./chart.js";
import { EVENT_COLUMNS } from "./columns.js";
import { fill, h, link, say } from "./dom.js";
import { compact, count, decimal, shortSpan, span } from "./format.js";
import { keepFresh } from "./fresh.js";
import { head, part, windowBar, windowOf } from "./head.js";
import { faultLine } from "./notices.js";
import { spanTicks } from "./scale.js";
import { Strip } from "./strip.js";
import { Table } from "./table.js";
import { to } from "./router.js";

const RATES = ["submitted", "succeeded", "failed", "retried", "cancelled"];
const BANDS = ["critical", "high", "normal", "background"];
const NOTABLE = 12;
const perSecond = (value) => (value === null ? "–" : `${decimal(value)}/s`);

/** Open the view. */
export function open({ main, route, live, signal }) {
  const seconds = windowOf(route.query);
  const tiles = buildTiles();
  const charts = buildCharts(signal);
  const rungs = new Strip({ title: "Where waiting jobs went", names: RUNGS });
  const notable = notableTable();
  const known = new Map();
  const fault = faultLine(() => refresh());
  fill(
    main,
    head("Overview", null, windowBar("", seconds)),
    fault.element,
    h(
      "div",
      { class: "tiles" },
      Object.values(tiles).map(({ element }) => element),
    ),
    h(
      "div",
      { class: "charts" },
      Object.values(charts).map(({ element }) => element),
    ),
    rungs.element,
    part(
      "Lately",
      h(
        "p",
        { class: "faint" },
        "Failures, retries, and workers that came and went. ",
        link("#/events", "All events"),
      ),
      notable.element,
    ),
  );
  const summary = ({ detail }) => {
    showTiles(tiles, detail);
    for (const event of detail.notable ?? []) known.set(eventKey(event), event);
    notable.update(newest(known));
  };
  let frame = null;
  live.addEventListener(
    "summary",
    (event) => {
      cancelAnimationFrame(frame); // the newest is enough
      frame = requestAnimationFrame(() => summary(event));
    },
    { signal },
  );
  if (live.last) summary({ detail: live.last });
  const refresh = keepFresh({
    live,
    signal,
    fail: fault.show,
    pauseMs: Math.max(2_000, (seconds / 300) * 2_500),
    load: async () =>
      showHistory(charts, rungs, await get(["stats", "history"], { window: seconds }, signal)),
  });
  recent(known, notable, signal);
  return { title: "Overview" };
}

async function recent(known, notable, signal) {
  for (const kind of ["failed", "retry", "registered", "evicted", "deregistered"]) {
    const found = await get(["events"], { kind, limit: NOTABLE }, signal).catch(() => null);
    if (!found) return;
    for (const event of found.events) known.set(eventKey(event), event);
  }
  notable.update(newest(known));
}

function eventKey(event) {
  return `${event.time} ${event.kind} ${event.job_id} ${event.worker_id ?? ""}`;
}

// The newest ones of what is known; what is older is known no more.
function newest(known) {
  const sorted = [...known.values()].sort((a, b) => (a.time < b.time ? 1 : -1)).slice(0, NOTABLE);
  known.clear();
  for (const event of sorted) known.set(eventKey(event), event);
  return sorted;
}

function notableTable() {
  return new Table({
    label: "Notable events",
    key: eventKey,
    empty: "Nothing went wrong since the api started.",
    columns: ["when", "what", "job", "type", "worker", "message"].map(
      (name) => EVENT_COLUMNS[name],
    ),
  });
}

function buildTiles() {
  const tile = (label, href) => {
    const value = h("b", {}, "–");
    const more = h("small", {}, "");
    return {
      value,
      more,
      element: h("a", { class: "tile", href }, h("span", {}, label), value, more),
    };
  };
  return {
    submitted: tile("Submitted", "#/jobs"),
    succeeded: tile("Succeeded", to("jobs", { state: "succeeded" })),
    failed: tile("Failed", "#/letters"),
    waiting: tile("Waiting", to("jobs", { state: "queued" })),
    running: tile("Running", to("jobs", { state: "running" })),
    workers: tile("Workers", "#/workers"),
    rung: tile("Jobs wait in", "#/queues"),
  };
}

function showTiles(
  tiles,
  { rates = {}, jobs = {}, waiting = {}, workers = {}, rung, rung_reason },
) {
  const set = (name, value, more) => {
    say(tiles[name].value, value);
    say(tiles[name].more, more);
  };
  set("submitted", perSecond(rates.submitted ?? 0), `${count(jobs.scheduled ?? 0)} scheduled`);
  set("succeeded", perSecond(rates.succeeded ?? 0), `${perSecond(rates.retried ?? 0)} tried again`);
  set("failed", perSecond(rates.failed ?? 0), `${count(jobs.failed ?? 0)} dead letters`);
  tiles.failed.element.classList.toggle("alarm", (rates.failed ?? 0) > 0);
  const oldest = waiting.oldest_seconds;
  set("waiting", count(waiting.total ?? 0), oldest ? `oldest ${span(oldest)}` : "none is late");
  const slots = workers.slots ?? 0;
  set("running", count(jobs.running ?? 0), `of ${count(slots)} slots`);
  set(
    "workers",
    count(workers.workers ?? 0),
    workers.workers ? `${count(workers.free ?? 0)} slots free` : "no job can run",
  );
  tiles.workers.element.classList.toggle("alarm", !workers.workers);
  set("rung", RUNGS[rung] ?? rung ?? "–", rung_reason || "if no slot is free");
  tiles.rung.element.classList.toggle("alarm", Boolean(rung_reason));
}

function buildCharts(signal) {
  const percentiles = (name) =>
    [
      ["p50", "t1"],
      ["p95", "t2"],
      ["p99", "t3"],
    ].map(([each, tone]) => ({ name: `${name}_${each}`, label: each, tone }));
  const seconds = { format: span, axis: shortSpan, ticks: spanTicks, signal };
  return {
    rates: new Chart({
      title: "Throughput, per second",
      series: RATES.map((name) => ({ name, label: name, tone: `t-${name}` })),
      format: perSecond,
      axis: compact,
      signal,
    }),
    depth: new Chart({
      title: "Waiting jobs by priority",
      series: [...BANDS]
        .reverse()
        .map((band) => ({ name: `waiting_${band}`, label: band, tone: `t-${band}` })),
      format: count,
      axis: compact,
      stacked: true,
      signal,
    }),
    wait: new Chart({ title: "Submit → start", series: percentiles("wait"), ...seconds }),
    run: new Chart({ title: "Run time", series: percentiles("run"), ...seconds }),
    fleet: new Chart({
      title: "Fleet load",
      series: [
        { name: "running", label: "running", tone: "t-running" },
        { name: "slots", label: "slots", tone: "t-slots" },
        { name: "workers", label: "workers", tone: "t-workers" },
      ],
      format: count,
      axis: compact,
      signal,
    }),
    age: new Chart({
      title: "Age of the oldest waiting job",
      series: [{ name: "oldest_seconds", label: "oldest", tone: "t-oldest" }],
      ...seconds,
    }),
  };
}

function showHistory(charts, rungs, told) {
  const { times, series } = whole(told);
  const columns = { ...series };
  const rate = (value, place) =>
    series.seconds[place] ? (value ?? 0) / series.seconds[place] : null;
  for (const name of RATES) columns[name] = series[name].map(rate);
  for (const chart of Object.values(charts)) chart.update(times, columns);
  rungs.update(times, series.rung ?? []);
}

// Without the step that has just begun, whose few seconds would look like a fall.
function whole({ times, series, step_seconds }) {
  const last = times.length - 1;
  if ((series.seconds[last] ?? 0) >= step_seconds / 2) return { times, series };
  const cut = Object.entries(series).map(([name, column]) => [name, column.slice(0, last)]);
  return { times: times.slice(0, last), series: Object.fromEntries(cut) };
}
