// A page of jobs as a table, and the way to the next page.

import { badge, jobLink, priorityText, workerLink } from "./badges.js";
import { TYPE_COLUMN } from "./columns.js";
import { fill, h, link } from "./dom.js";
import { ago, at, moment, span } from "./format.js";
import { go, to } from "./router.js";
import { Table } from "./table.js";

export const PAGE_ROWS = 50;

const COLUMNS = {
  id: { label: "Job", value: ({ id }) => id, node: ({ id }) => jobLink(id), kind: "main" },
  type: TYPE_COLUMN,
  state: {
    label: "State",
    value: stateText,
    node: (job) => [
      badge(job.state),
      job.cancel_requested && !job.finished_at ? " cancelling" : "",
    ],
  },
  priority: { label: "Priority", value: ({ priority }) => priorityText(priority), kind: "wide" },
  queue: { label: "Queue", value: ({ queue }) => queue, kind: "wide" },
  attempts: {
    label: "Attempts",
    value: ({ attempts, max_attempts }) => `${attempts} of ${max_attempts}`,
    kind: "number",
  },
  worker: {
    label: "Worker",
    value: ({ worker_id }) => worker_id,
    node: ({ worker_id }) => workerLink(worker_id),
    kind: "wide",
  },
  created: {
    label: "Created",
    value: ({ created_at }) => created_at,
    node: ({ created_at }) => ago(created_at),
  },
  took: { label: "Took", value: tookText, kind: "number" },
  failed: {
    label: "Failed",
    value: ({ finished_at }) => finished_at,
    node: ({ finished_at }) => at(finished_at),
  },
  error: { label: "Error", value: errorText, kind: "text" },
};

/** A table of jobs with these columns; `onSelect` as of a Table. */
export function jobTable({ label, columns, onSelect, empty }) {
  return new Table({
    label,
    columns: columns.map((name) => COLUMNS[name]),
    key: ({ id }) => id,
    onOpen: ({ id }) => go(to(["jobs", id])),
    onSelect,
    empty,
  });
}

/** Where a listing ends: how far it looked, the first page, the next one. */
export function pager(path, query, { next_cursor, searched_to }, shown) {
  const first = query.cursor && link(to(path, { ...query, cursor: "" }), "First page");
  const next = next_cursor && link(to(path, { ...query, cursor: next_cursor }), "Next page");
  const looked = searched_to ? h("span", {}, "searched back to ", at(searched_to)) : null;
  const told = h("span", { class: "faint" }, `${shown} shown`, looked && ", ", looked);
  return fill(
    h("nav", { class: "pager", "aria-label": "Pages of the listing" }),
    told,
    first,
    next,
  );
}

function stateText({ state, cancel_requested }) {
  return `${state}${cancel_requested ? " cancelling" : ""}`;
}

function tookText({ started_at, finished_at }) {
  return started_at && finished_at ? span(moment(finished_at) - moment(started_at)) : "";
}

function errorText({ error }) {
  if (!error) return "";
  const text = `${error.kind}: ${error.message}`;
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
