// Columns that several tables have; each view adds what is its own.

import { badge, jobLink, workerLink } from "./badges.js";
import { link } from "./dom.js";
import { ago, at } from "./format.js";
import { to } from "./router.js";

/** The name of a row, which leads to `hash(name)`. */
export function nameColumn(label, hash) {
  return {
    label,
    value: ({ name }) => name,
    node: ({ name }) => link(hash(name), name),
    kind: "main",
  };
}

export const TYPE_COLUMN = {
  label: "Type",
  value: ({ type }) => type,
  node: ({ type }) => link(to(["types", type]), type),
};

export const EVENT_COLUMNS = {
  time: { label: "Time", value: ({ time }) => time, node: ({ time }) => at(time), kind: "main" },
  when: { label: "When", value: ({ time }) => time, node: ({ time }) => ago(time), kind: "main" },
  what: { label: "What", value: ({ kind }) => kind, node: ({ kind }) => badge(kind) },
  job: {
    label: "Job",
    value: ({ job_id }) => job_id,
    node: ({ job_id }) => (job_id ? jobLink(job_id) : ""),
  },
  type: { label: "Type", value: ({ job_type }) => job_type },
  worker: {
    label: "Worker",
    value: ({ worker_id }) => worker_id,
    node: ({ worker_id }) => (worker_id ? workerLink(worker_id) : ""),
  },
  message: { label: "Message", value: ({ message }) => message, kind: "text" },
};
