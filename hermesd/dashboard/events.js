// The events as they happen, newest first; may be held, and narrowed to a kind or a text.

import { get } from "./api.js";
import { EVENT_COLUMNS } from "./columns.js";
import { fill, h } from "./dom.js";
import { count } from "./format.js";
import { head } from "./head.js";
import { keepFresh } from "./fresh.js";
import { faultLine } from "./notices.js";
import { go, to } from "./router.js";
import { Table, MOST_ROWS } from "./table.js";

const KINDS = [
  ...["submitted", "direct", "queued", "published", "taken-back", "started", "progress", "logged"],
  ...["succeeded", "failed", "retry", "snoozed", "released", "cancelled", "cancel-requested"],
  ...["requeued", "due", "error", "quarantined", "unstorable", "dropped", "left-out"],
  ...["registered", "deregistered", "drained", "draining", "paused", "resumed", "evicted"],
  ...["unrouted", "dispatch-failed", "queue-paused", "queue-resumed"],
];

/** Open the view. */
export function open({ main, route, live, signal }) {
  let { kind, text } = filters(route);
  let held = false;
  const fault = faultLine(() => refresh());
  const told = h("p", { class: "faint", "aria-live": "off" });
  const table = eventTable();
  const kinds = h(
    "select",
    { "aria-label": "Kind" },
    h("option", { value: "" }, "every kind"),
    KINDS.map((each) => h("option", { value: each }, each)),
  );
  kinds.value = kind;
  const words = h("input", {
    type: "search",
    placeholder: "Text in type, worker or message",
    "aria-label": "Text",
    "data-filter": true,
    value: text,
  });
  const hold = h("button", { type: "button", "aria-pressed": "false" }, "Hold");
  const move = () =>
    go(to("events", { kind: kinds.value, text: words.value.trim() }), { replace: true });
  kinds.addEventListener("change", move);
  words.addEventListener("input", move);
  hold.addEventListener("click", () => {
    held = !held;
    hold.setAttribute("aria-pressed", String(held));
    hold.textContent = held ? "Go on" : "Hold";
    if (!held) refresh();
  });
  fill(
    main,
    head(
      "Events",
      "What happens at the api and to workers, as it happens. Only the last ones are kept.",
    ),
    fault.element,
    h("form", { class: "filters", role: "search" }, kinds, words, hold, told),
    table.element,
  );
  main.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  const refresh = keepFresh({
    live,
    signal,
    fail: fault.show,
    pauseMs: 1_000,
    wants: () => !held,
    load: async () => {
      const { events } = await get(["events"], { kind, limit: MOST_ROWS }, signal);
      const wanted = text.toLowerCase();
      const fitting = wanted ? events.filter((event) => textOf(event).includes(wanted)) : events;
      table.update(fitting.map(numbered()));
      told.textContent = wanted
        ? `${count(fitting.length)} of the last ${count(events.length)}`
        : `the last ${count(events.length)}`;
    },
  });
  return {
    title: "Events",
    move(next) {
      ({ kind, text } = filters(next));
      refresh();
    },
  };
}

function filters({ query }) {
  const kind = query.get("kind") ?? "";
  return { kind: KINDS.includes(kind) ? kind : "", text: query.get("text") ?? "" };
}

function textOf({ job_id, job_type, worker_id, message }) {
  return `${job_id} ${job_type} ${worker_id ?? ""} ${message}`.toLowerCase();
}

// Events have no numbers of their own here, and two of a job may be of one moment.
function numbered() {
  const seen = new Map();
  return (event) => {
    const name = `${event.time} ${event.kind} ${event.job_id} ${event.worker_id ?? ""}`;
    const times = seen.get(name) ?? 0;
    seen.set(name, times + 1);
    return { ...event, key: `${name} ${times}` };
  };
}

function eventTable() {
  return new Table({
    label: "Events",
    key: ({ key }) => key,
    onOpen: ({ job_id }) => job_id && go(to(["jobs", job_id])),
    empty: "No event fits. Events come as soon as jobs are submitted or workers register.",
    columns: [
      ...["time", "what", "job", "type", "worker"].map((name) => EVENT_COLUMNS[name]),
      {
        label: "Attempt",
        value: ({ attempt, run, job_id }) =>
          job_id ? `${attempt}${run > 1 ? `, run ${run}` : ""}` : "",
        kind: "wide",
      },
      EVENT_COLUMNS.message,
    ],
  });
}
