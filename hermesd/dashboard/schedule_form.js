// Making a schedule, and changing one.

import { get, post, put } from "./api.js";
import { h } from "./dom.js";
import { LEVELS, openJobDialog, queueChoices } from "./job_dialog.js";
import { notice } from "./notices.js";
import { go, to } from "./router.js";

const NAME = { name: "name", label: "Name", must: true, placeholder: "nightly-report" };
const WHEN = [
  {
    name: "cron",
    label: "Cron",
    must: true,
    placeholder: "0 3 * * *",
    hint: "minute, hour, day, month, weekday; or @daily, @every 1h30m",
  },
  { name: "timezone", label: "Time zone", placeholder: "UTC", hint: "such as Europe/Berlin" },
  { name: "description", label: "Description" },
];
const OVERLAPS = [
  ["allow", "allow: fire beside it"],
  ["skip", "skip: leave the fire out"],
];
const MISFIRES = [
  ["run-once", "run-once: fire once for all"],
  ["skip", "skip: leave them out"],
  ["catch-up", "catch-up: fire for each"],
];

/** Ask for a new schedule, and go to it when it is made. */
export function openNewSchedule() {
  return openJobDialog({
    ...shape("New schedule", "Make the schedule"),
    head: [NAME, ...WHEN],
    send: async (body) => {
      const { schedule } = await post(["schedules"], body);
      notice(`${schedule.name} is made.`);
      go(to(["schedules", schedule.name]));
    },
  });
}

/**
 * Ask for a schedule anew, beginning with what it is; `done` is called when it is changed.
 *
 * Where somebody else has changed or deleted it meanwhile, nothing is done until that is agreed to.
 */
export function openScheduleChange(schedule, done) {
  const { name } = schedule;
  let over = schedule.etag; // of what may be overwritten; null: there is nothing
  let offer = null;
  return openJobDialog({
    ...shape(`Change ${name}`, "Change the schedule"),
    head: WHEN,
    type: schedule.type,
    payload: schedule.payload,
    values: schedule,
    send: async (body) => {
      if (offer?.box.checked) over = offer.etag;
      try {
        await store(name, body, over);
      } catch (error) {
        const etag = [409, 412].includes(error.status) ? await etagOf(name) : over;
        if (etag === over) throw error;
        offer = { etag, box: h("input", { type: "checkbox" }) };
        return h("label", { class: "wrong" }, asked(name, offer));
      }
      notice(`${name} is changed.`);
      done();
    },
  });
}

function store(name, body, etag) {
  if (etag !== null) return put(["schedules", name], body, etag);
  return post(["schedules"], `{"name":${JSON.stringify(name)},${body.slice(1)}`);
}

async function etagOf(name) {
  try {
    return (await get(["schedules", name])).schedule.etag;
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

function asked(name, { etag, box }) {
  const [what, agree] = etag ? ["changed", "overwrite that change"] : ["deleted", "make it again"];
  return [`Nothing is saved: ${name} was ${what} meanwhile. Tick to ${agree} next time. `, box];
}

function shape(title, label) {
  return {
    title,
    options,
    about: "Options: overlap, misfire, jitter, queue, priority, attempts, labels",
    buttons: [["", label]],
    blame: ({ slug, message }) => {
      if (slug === "unknown-queue") return "queue";
      return slug === "conflict" || message.includes("schedule's name") ? "name" : "";
    },
  };
}

function options(queues) {
  return [
    { name: "overlap", label: "While the last job lives", kind: "choice", choices: OVERLAPS },
    { name: "misfire", label: "Of missed times", kind: "choice", choices: MISFIRES },
    { name: "misfire_grace_seconds", label: "Missed after, seconds", kind: "number" },
    { name: "catch_up_limit", label: "Catch up at most", kind: "number" },
    { name: "jitter_seconds", label: "Jitter, seconds", kind: "number" },
    { name: "queue", label: "Queue", kind: "choice", choices: queueChoices(queues) },
    { name: "priority", label: "Priority", kind: "choice", choices: LEVELS },
    { name: "max_attempts", label: "Attempts", kind: "number" },
    { name: "timeout", label: "Time limit, seconds", kind: "number" },
    { name: "labels", label: "Labels", kind: "labels", placeholder: "customer:ann, zone:a" },
  ];
}
