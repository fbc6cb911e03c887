// The named queues: what waits in each, who serves it, and whether it is paused.

import { get, post } from "./api.js";
import { RUNGS, badge, meter, priorityText } from "./badges.js";
import { nameColumn } from "./columns.js";
import { fill, h } from "./dom.js";
import { ago, count, span } from "./format.js";
import { keepFresh } from "./fresh.js";
import { head } from "./head.js";
import { action, confirmed, faultLine } from "./notices.js";
import { to } from "./router.js";
import { Table } from "./table.js";

/** Open the view. */
export function open({ main, live, signal }) {
  const fault = faultLine(() => refresh());
  const table = queueTable(() => refresh());
  fill(
    main,
    head("Queues", "A paused queue takes jobs as ever; none of them starts until it is resumed."),
    fault.element,
    table.element,
  );
  const refresh = keepFresh({
    live,
    signal,
    fail: fault.show,
    pauseMs: 1_000,
    load: async () => table.update((await get(["queues"], {}, signal)).queues),
  });
  return { title: "Queues" };
}

function queueTable(done) {
  return new Table({
    label: "Queues",
    key: ({ name }) => name,
    empty: "No queue is declared, which should not be: the queue default always is.",
    columns: [
      nameColumn("Queue", (name) => to("jobs", { queue: name })),
      { label: "State", value: stateText, node: stateNode, kind: "state" },
      { label: "Waiting", value: ({ waiting }) => count(waiting), kind: "number" },
      { label: "By priority", value: depthText, kind: "few" },
      {
        label: "Oldest",
        value: ({ oldest_seconds }) => (oldest_seconds ? span(Math.round(oldest_seconds)) : "–"),
        kind: "number",
      },
      { label: "Running", value: ({ running }) => count(running), kind: "number" },
      { label: "Slots", value: ({ slots, free }) => `${free}/${slots}`, node: slotsNode },
      { label: "Workers", value: ({ workers }) => count(workers), kind: "number" },
      {
        label: "Waits in",
        value: ({ rung, at_broker }) =>
          `${RUNGS[rung] ?? rung}${at_broker ? `, ${count(at_broker)} at the broker` : ""}`,
        kind: "wide",
      },
      {
        label: "",
        value: ({ paused }) => paused,
        node: (queue) => orders(queue, done),
        kind: "ends",
      },
    ],
  });
}

function stateText({ paused, paused_since, paused_by, reason, workers, waiting }) {
  return [paused, paused_since, paused_by, reason, workers === 0 && waiting > 0].join(" ");
}

function stateNode({ paused, paused_since, paused_by, reason, workers, waiting }) {
  if (paused) {
    return h(
      "span",
      {},
      badge("paused"),
      " since ",
      ago(paused_since),
      paused_by ? ` by ${paused_by}` : "",
      reason ? `: ${reason}` : "",
    );
  }
  return workers === 0 && waiting > 0
    ? h("span", { class: "warn" }, "no worker takes its jobs")
    : badge("serving");
}

function depthText({ by_priority }) {
  const told = Object.entries(by_priority).sort(([a], [b]) => b - a);
  return told.map(([priority, number]) => `${priorityText(priority)}: ${count(number)}`).join(", ");
}

function slotsNode({ slots, free }) {
  return slots ? meter((slots - free) / slots, `${count(slots - free)} of ${count(slots)}`) : "";
}

function orders({ name, paused }, done) {
  const pause = async () => {
    const reason = await confirmed({
      title: `Pause the queue ${name}?`,
      text: "No job of it starts, at any api and by any worker, until it is resumed.",
      verb: "Pause the queue",
      ask: "Reason (others see it)",
    });
    if (reason === false) return "";
    await post(["queues", name, "pause"], reason ? { reason } : {});
    done();
    return `The queue ${name} is paused.`;
  };
  const resume = async () => {
    await post(["queues", name, "resume"], {});
    done();
    return `The queue ${name} is resumed.`;
  };
  return paused ? action("Resume", resume) : action("Pause", pause, { class: "quiet" });
}
