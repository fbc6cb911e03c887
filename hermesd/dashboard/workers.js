// The fleet: what each worker is and does, and orders to it; those that went stay for a while.

import { Problem, get, post } from "./api.js";
import { badge, meter, workerLink } from "./badges.js";
import { fill, h, link } from "./dom.js";
import { ago, bytes, count, decimal, plural, span } from "./format.js";
import { keepFresh } from "./fresh.js";
import { facts, head, part } from "./head.js";
import { action, confirmed, faultLine } from "./notices.js";
import { go, to } from "./router.js";
import { Table } from "./table.js";

const GONE_KEPT_SECONDS = 600;
const CLOSED = ["paused", "draining"];
const sum = (slots) => Object.values(slots).reduce((all, each) => all + each, 0);

/** Open the view. */
export function open({ main, route, live, signal }) {
  let { id, text } = filters(route);
  let workers = [];
  const gone = new Map(); // incarnation -> the worker as it was, and when it was missed
  const fault = faultLine(() => refresh());
  const sums = h("p", {});
  const detail = h("div", {});
  const words = h("input", {
    type: "search",
    placeholder: "Text in id, host, type or label",
    "aria-label": "Text",
    "data-filter": true,
    value: text,
  });
  const table = fleetTable(() => refresh());
  words.addEventListener("input", () =>
    go(to("workers", { text: words.value.trim(), id }), { replace: true }),
  );
  const form = h("form", { class: "filters", role: "search" }, words);
  form.addEventListener("submit", (event) => event.preventDefault());
  fill(main, head("Workers", sums), fault.element, detail, form, table.element);
  const show = () => {
    const missed = [...gone.values()].filter(
      ({ worker_id }) => !workers.some((each) => each.worker_id === worker_id),
    );
    const wanted = text.toLowerCase();
    table.update([...workers, ...missed].filter((each) => textOf(each).includes(wanted)));
    const chosen = id && [...workers, ...missed].find(({ worker_id }) => worker_id === id);
    showDetail(detail, id, chosen);
  };
  const refresh = keepFresh({
    live,
    signal,
    fail: fault.show,
    pauseMs: 1_000,
    load: async () => {
      const found = await get(["workers"], {}, signal);
      miss(gone, workers, found.workers);
      ({ workers } = found);
      const machines = Object.keys(found.machines).length;
      sums.textContent = `${plural(found.total_workers, "worker")} on ${plural(machines, "host")}, ${plural(found.total_slots, "slot")}`;
      show();
    },
  });
  return {
    title: "Workers",
    move(next) {
      ({ id, text } = filters(next));
      if (words !== document.activeElement) words.value = text;
      show();
    },
  };
}

function filters({ query }) {
  return { id: query.get("id") ?? "", text: query.get("text") ?? "" };
}

function miss(gone, before, now) {
  const here = new Set(now.map(({ incarnation }) => incarnation));
  const time = Date.now() / 1000;
  for (const worker of before) {
    if (!here.has(worker.incarnation))
      gone.set(worker.incarnation, { ...worker, status: "gone", gone_at: time });
  }
  for (const [incarnation, { gone_at }] of gone) {
    if (here.has(incarnation) || time - gone_at > GONE_KEPT_SECONDS) gone.delete(incarnation);
  }
}

function textOf({ worker_id, machine, types, queues, labels }) {
  const told = Object.entries(labels).map(([name, value]) => `${name}:${value}`);
  return [worker_id, machine, ...types, ...queues, ...told].join(" ").toLowerCase();
}

// A worker that takes nothing says that no slot is free, so that only what it runs tells.
function slotsOf({ slots, free, status, load }) {
  const all = sum(slots);
  const busy = CLOSED.includes(status) ? load.running : all - sum(free);
  return status === "gone" || all === 0 ? null : { all, busy };
}

function slotsText(worker) {
  const found = slotsOf(worker);
  return found ? `${count(found.busy)} of ${count(found.all)}` : "–";
}

function slotsNode(worker) {
  const found = slotsOf(worker);
  return found ? meter(found.busy / found.all, slotsText(worker)) : "–";
}

function fleetTable(done) {
  return new Table({
    label: "Workers",
    key: ({ worker_id, incarnation }) => `${worker_id} ${incarnation}`,
    onOpen: ({ worker_id }) => go(to("workers", { id: worker_id })),
    empty: h(
      "p",
      {},
      "No worker fits. Start one with ",
      h("code", {}, "hermesd serve worker"),
      " and jobs that wait run at once.",
    ),
    columns: [
      {
        label: "Worker",
        value: ({ worker_id }) => worker_id,
        node: ({ worker_id }) => workerLink(worker_id),
        kind: "main",
      },
      {
        label: "Status",
        value: statusText,
        node: (worker) =>
          h(
            "span",
            { title: worker.reason || null },
            badge(worker.status),
            worker.reason ? ` ${worker.reason}` : "",
          ),
      },
      { label: "Slots", value: slotsText, node: slotsNode },
      { label: "Load", value: ({ load }) => decimal(load.cpu), kind: "number wide" },
      { label: "Loop lag", value: ({ load }) => span(load.loop_lag_seconds), kind: "number" },
      { label: "RSS", value: ({ load }) => bytes(load.rss_bytes), kind: "number" },
      { label: "Host", value: ({ machine }) => machine, kind: "wide" },
      {
        label: "Breaker",
        value: ({ breaker }) => breaker,
        node: ({ breaker }) => badge(breaker),
        kind: "wide",
      },
      { label: "Version", value: ({ version }) => version, kind: "wide" },
      {
        label: "Last seen",
        value: ({ last_seen_unix }) => Math.round(last_seen_unix),
        node: ({ last_seen_unix }) => ago(last_seen_unix),
      },
      {
        label: "",
        value: ({ status }) => status,
        node: (worker) => orders(worker, done),
        kind: "ends",
      },
    ],
  });
}

function statusText({ status, reason }) {
  return `${status} ${reason ?? ""}`;
}

function orders(worker, done) {
  const { worker_id, incarnation, status } = worker;
  if (["gone", "elsewhere", "draining"].includes(status)) return "";
  const give = (verb, said) => async () => {
    const reason = await confirmed({
      ...ASKED[verb],
      title: `${said} ${worker_id}?`,
      ask: "Reason (others see it)",
      text: await textFor(verb, worker),
    });
    if (reason === false) return "";
    const { taken } = await post(["workers", incarnation, verb], reason ? { reason } : {});
    done();
    return taken
      ? `${worker_id} has confirmed.`
      : `${worker_id} is told at its next heartbeat; it gets no more jobs.`;
  };
  const resume = async () => {
    await post(["workers", incarnation, "resume"], {});
    done();
    return `${worker_id} takes jobs again.`;
  };
  return h(
    "span",
    { class: "acts" },
    status === "paused"
      ? action("Resume", resume)
      : action("Pause", give("pause", "Pause"), { class: "quiet" }),
    action("Drain", give("drain", "Drain"), { class: "quiet danger" }),
  );
}

const ASKED = {
  pause: { verb: "Pause", text: "It takes no new jobs until it is resumed; those that run go on." },
  drain: {
    verb: "Drain",
    danger: true,
    text: "It takes no new jobs, lets those that run end within its time limit, and its process ends (an api in the same process goes on).",
  },
};

async function textFor(verb, { incarnation }) {
  if (verb !== "drain") return ASKED[verb].text;
  try {
    const told = await get(["workers", incarnation, "forecast"]);
    const unknown = told.unknown ? `, of ${count(told.unknown)} it is not known` : "";
    return `${ASKED.drain.text} Within ${span(told.drain_seconds)}, ${count(told.finishes)} of its jobs will likely end, and ${count(told.handed_on)} will be handed on${unknown}.`;
  } catch (error) {
    if (error instanceof Problem) return ASKED.drain.text;
    throw error;
  }
}

function showDetail(place, id, worker) {
  // What changes with every heartbeat is in the table.
  const told = JSON.stringify(
    worker ? { ...worker, load: worker.load.unreported, last_seen_unix: 0 } : id,
  );
  if (place.dataset.told === told) return;
  place.dataset.told = told;
  if (!id) return void fill(place);
  const close = link(to("workers"), "Close");
  if (!worker) {
    return void fill(
      place,
      part(
        id,
        h(
          "p",
          {},
          "No such worker is registered now. ",
          link(to("jobs", { worker: id }), "Its jobs"),
          " · ",
          close,
        ),
      ),
    );
  }
  const kinds = Object.entries(worker.slots).map(
    ([kind, number]) => `${kind} ${number - (worker.free[kind] ?? 0)} of ${number}`,
  );
  const labels = Object.entries(worker.labels).map(([name, value]) =>
    h("span", { class: "label" }, `${name}: ${value}`),
  );
  fill(
    place,
    part(
      worker.worker_id,
      facts([
        [
          "Status",
          [
            badge(worker.status),
            worker.reason ? ` ${worker.reason}` : "",
            worker.since_unix ? [" since ", ago(worker.since_unix)] : "",
          ],
        ],
        ["Address", h("code", {}, worker.address)],
        ["Host", worker.machine],
        ["Incarnation", h("code", {}, worker.incarnation)],
        ["Slots", kinds.join(", ") || null],
        ["Unreported outcomes", worker.load.unreported || null],
        ["Breaker", badge(worker.breaker)],
        [
          "Queues",
          worker.queues.map((name) =>
            h("span", { class: "label" }, link(to("jobs", { queue: name }), name)),
          ),
        ],
        [
          "Types",
          worker.types.map((name) =>
            h("span", { class: "label" }, link(to(["types", name]), name)),
          ),
        ],
        ["Version", worker.version],
        ["Labels", labels.length ? labels : null],
      ]),
      h("p", {}, link(to("jobs", { worker: worker.worker_id }), "Its jobs"), " · ", close),
    ),
  );
}
