// Why a queued job has not started yet, by what the queues and the workers say of themselves.

import { get } from "./api.js";
import { count, plural } from "./format.js";

const ABLE = ["idle", "busy"];

/** A sentence on a job that waits for a worker; empty for one that does not. */
export async function whyItWaits(job, signal) {
  if (job.state !== "queued") return "";
  const [{ queue }, { workers }] = await Promise.all([
    get(["queues", job.queue], {}, signal),
    get(["workers"], {}, signal),
  ]);
  return reasonOf(job, queue, workers);
}

function reasonOf({ type, queue: name }, queue, workers) {
  if (queue.paused) return `Its queue ${name} is paused${queue.reason ? `: ${queue.reason}` : ""}.`;
  if (!workers.length) return "No worker is registered.";
  const serving = workers.filter(({ queues }) => queues.includes(name));
  if (!serving.length) return `No worker serves its queue ${name}.`;
  const fitting = serving.filter(({ types }) => types.includes(type) || types.includes("*"));
  if (!fitting.length) return `No worker that serves ${name} speaks ${type}.`;
  const able = fitting.filter(({ status }) => ABLE.includes(status));
  if (!able.length) {
    const told = fitting.map(({ worker_id, status }) => `${worker_id} is ${status}`);
    return `No worker takes it now: ${told.slice(0, 5).join(", ")}.`;
  }
  const ahead = queue.waiting > 1 ? `; ${plural(queue.waiting, "job")} of ${name} wait` : "";
  return `It waits for a free slot of ${plural(able.length, "worker")} (${count(queue.free)} of ${count(queue.slots)} are free)${ahead}.`;
}
