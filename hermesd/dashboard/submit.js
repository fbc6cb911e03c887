// Submitting a job by hand.

import { post } from "./api.js";
import { h, link } from "./dom.js";
import { LEVELS, openJobDialog, queueChoices } from "./job_dialog.js";
import { notice } from "./notices.js";
import { go, to } from "./router.js";

/** Open the dialog, for a type and with a payload if they are known. */
export function openSubmit(type = "", payload = {}) {
  return openJobDialog({
    title: "Submit a job",
    type,
    payload,
    head: [],
    options,
    about: "Options: queue, priority, time, attempts, labels",
    buttons: [
      ["", "Submit"],
      ["stay", "Submit and stay"],
    ],
    send: async (body, button) => accepted(await post(["jobs"], body), button === "stay"),
    blame: ({ slug }) => (slug === "unknown-queue" ? "queue" : ""),
  });
}

function options(queues) {
  return [
    { name: "queue", label: "Queue", kind: "choice", choices: queueChoices(queues) },
    { name: "priority", label: "Priority", kind: "choice", choices: LEVELS },
    { name: "delay", label: "Start in, seconds", kind: "number" },
    { name: "run_at", label: "or start at", kind: "time" },
    { name: "max_attempts", label: "Attempts", kind: "number" },
    { name: "timeout", label: "Time limit, seconds", kind: "number" },
    { name: "labels", label: "Labels", kind: "labels", placeholder: "customer:ann, zone:a" },
    { name: "idempotency_key", label: "Idempotency key" },
  ];
}

function accepted({ job, routed, note, repeated }, stay) {
  const how = repeated
    ? "is known already, by its idempotency key"
    : `is accepted (${note || routed})`;
  if (stay)
    return h("p", { class: "good" }, "Job ", link(to(["jobs", job.id]), job.id), ` ${how}.`);
  notice(`Job ${job.id} ${how}.`);
  go(to(["jobs", job.id]));
  return null;
}
