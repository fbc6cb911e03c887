// Words of the product with their looks: states, statuses, event kinds, rungs, priorities.

import { h, link, svg } from "./dom.js";
import { to } from "./router.js";

export const STATES = ["scheduled", "queued", "running", "succeeded", "failed", "cancelled"];
export const WINDOWS = [
  [300, "5 min"],
  [3600, "1 h"],
  [21600, "6 h"],
  [86400, "24 h"],
];
export const RUNGS = { push: "push", amqp: "RabbitMQ", store: "the store" };

const LEVELS = { 0: "background", 3: "normal", 7: "high", 10: "critical" };
const TONES = {
  scheduled: "violet",
  queued: "amber",
  running: "blue",
  succeeded: "green",
  failed: "red",
  cancelled: "grey",
  idle: "green",
  busy: "blue",
  draining: "amber",
  paused: "amber",
  unreachable: "red",
  elsewhere: "grey",
  closed: "green",
  open: "red",
  "half-open": "amber",
  submitted: "violet",
  direct: "blue",
  started: "blue",
  published: "amber",
  "taken-back": "amber",
  retry: "amber",
  snoozed: "violet",
  released: "amber",
  requeued: "violet",
  due: "violet",
  error: "red",
  quarantined: "red",
  unrouted: "amber",
  evicted: "red",
  "dispatch-failed": "red",
  unstorable: "red",
  dropped: "red",
  registered: "green",
  serving: "green",
  fires: "green",
  fired: "green",
  triggered: "blue",
  overlapped: "amber",
  missed: "amber",
  refused: "red",
  resumed: "green",
  "queue-paused": "amber",
  "queue-resumed": "green",
  debug: "grey",
  info: "grey",
  warning: "amber",
  critical: "red",
};

/** A word in the colour of what it means; the word itself says it too. */
export function badge(word) {
  return h("span", { class: `badge ${TONES[word] ?? "grey"}` }, word);
}

/** A priority by the name of its level, if it has one. */
export function priorityText(priority) {
  return LEVELS[priority] ?? String(priority);
}

/** An id that leads to its job; its end is what differs. */
export function jobLink(id) {
  return h("span", { class: "id", title: id }, link(to(["jobs", id]), shortId(id)));
}

/** The part of an id that tells jobs apart. */
export function shortId(id) {
  return id.length > 18 ? `…${id.slice(-12)}` : id;
}

/** A worker that leads to its jobs. */
export function workerLink(id) {
  return id ? link(to("workers", { id }), id) : h("span", { class: "faint" }, "–");
}

/** A bar that is filled to `share` (0 to 1), with its value in words. */
export function meter(share, words) {
  const filled = Math.min(Math.max(share, 0), 1) * 100;
  const bar = svg(
    "svg",
    { class: "bar", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "rail", width: 100, height: 6 }),
    svg("rect", { class: filled > 90 ? "full" : "load", width: filled, height: 6 }),
  );
  return h("span", { class: "meter" }, bar, h("span", {}, words));
}
