// The schedules: when each fires next, what became of the last fires, pause, resume and trigger.

import { get, post, remove } from "./api.js";
import { badge, jobLink } from "./badges.js";
import { TYPE_COLUMN, nameColumn } from "./columns.js";
import { fill, h, link } from "./dom.js";
import { ago, at, span } from "./format.js";
import { keepFresh } from "./fresh.js";
import { facts, head, jsonBlock, part } from "./head.js";
import { action, confirmed, faultLine, notice } from "./notices.js";
import { go, to } from "./router.js";
import { openNewSchedule, openScheduleChange } from "./schedule_form.js";
import { Table } from "./table.js";

/** Open the list, or the one that the route names. */
export function open({ main, route, live, signal }) {
  const [, name] = route.parts;
  const fault = faultLine(() => refresh());
  const content = h("div", {});
  const list = name ? null : scheduleTable(() => refresh());
  fill(
    main,
    list
      ? head(
          "Schedules",
          "Jobs that are submitted again and again.",
          action("New schedule", () => openNewSchedule(), { class: "primary" }),
        )
      : null,
    fault.element,
    list ? list.element : content,
  );
  let told = "";
  const refresh = keepFresh({
    live,
    signal,
    fail: fault.show,
    pauseMs: 3_000,
    load: async () => {
      if (list) return list.update((await get(["schedules"], {}, signal)).schedules);
      const { schedule } = await get(["schedules", name], {}, signal);
      if (JSON.stringify(schedule) !== told)
        fill(
          content,
          detailOf(schedule, () => refresh()),
        );
      told = JSON.stringify(schedule);
      return null;
    },
  });
  return { title: name ? `Schedule ${name}` : "Schedules" };
}

function scheduleTable(done) {
  return new Table({
    label: "Schedules",
    key: ({ name }) => name,
    onOpen: ({ name }) => go(to(["schedules", name])),
    empty: h(
      "p",
      {},
      "There is no schedule. Make one here, with ",
      h("code", {}, "hermesd schedules add"),
      ", or in [schedules] of the configuration.",
    ),
    columns: [
      nameColumn("Schedule", (name) => to(["schedules", name])),
      {
        label: "State",
        value: ({ paused }) => paused,
        node: ({ paused }) => badge(paused ? "paused" : "fires"),
      },
      {
        label: "Cron",
        value: ({ cron, timezone }) => `${cron} ${timezone}`,
        node: ({ cron, timezone }) => [h("code", {}, cron), ` ${timezone}`],
      },
      TYPE_COLUMN,
      {
        label: "Next fire",
        value: ({ next_fire }) => next_fire,
        node: ({ next_fire }) => ago(next_fire),
      },
      { label: "Overlap", value: ({ overlap }) => overlap, kind: "wide" },
      { label: "Made by", value: ({ source }) => source, kind: "wide" },
      {
        label: "",
        value: ({ paused, source }) => `${paused} ${source}`,
        node: (schedule) =>
          h("span", { class: "acts" }, orders(schedule, done), deletion(schedule, done)),
        kind: "ends",
      },
    ],
  });
}

function orders({ name, paused }, done) {
  const act = (verb, said) => async () => {
    await post(["schedules", name, verb]);
    done();
    return said;
  };
  const trigger = async () => {
    const { job } = await post(["schedules", name, "trigger"]);
    done();
    notice(`${name} has fired: job ${job.id}`);
  };
  return [
    action("Trigger", trigger, { title: "Submit its job now, beside its own times" }),
    paused
      ? action("Resume", act("resume", `${name} fires again from now on.`))
      : action("Pause", act("pause", `${name} fires no more until it is resumed.`), {
          class: "quiet",
        }),
  ];
}

// One of the configuration can be changed and deleted only there.
function deletion({ name, source }, done) {
  if (source === "config") return null;
  const gone = async () => {
    const wanted = await confirmed({
      title: `Delete ${name}?`,
      text: "It fires no more; the jobs that it has made stay.",
      verb: "Delete the schedule",
      danger: true,
    });
    if (!wanted) return "";
    await remove(["schedules", name]);
    done();
    return `${name} is deleted.`;
  };
  return action("Delete", gone, { class: "quiet danger" });
}

function change(schedule, done) {
  return schedule.source === "config"
    ? null
    : action("Change", () => openScheduleChange(schedule, done));
}

function detailOf(schedule, done) {
  return [
    head(
      schedule.name,
      schedule.description || null,
      orders(schedule, done),
      change(schedule, done),
      deletion(schedule, () => go(to("schedules"))),
    ),
    h(
      "div",
      { class: "columns" },
      h("div", {}, factsOf(schedule), part("Payload", jsonBlock(schedule.payload, "Payload"))),
      h(
        "div",
        {},
        part("Next fires", nextFires(schedule)),
        part("Last fires", lastFires(schedule)),
      ),
    ),
    h(
      "p",
      {},
      link(to("jobs", { label: `schedule:${schedule.name}` }), "Its jobs"),
      " · ",
      link(to("schedules"), "All schedules"),
    ),
  ];
}

function factsOf(schedule) {
  return facts([
    ["State", badge(schedule.paused ? "paused" : "fires")],
    ["Cron", h("code", {}, schedule.cron)],
    ["Time zone", schedule.timezone],
    ["Type", link(to(["types", schedule.type]), schedule.type)],
    ["Queue", schedule.queue],
    ["Priority", schedule.priority],
    ["Attempts", schedule.max_attempts],
    ["Time limit", schedule.timeout && span(schedule.timeout)],
    ["Overlap", schedule.overlap],
    ["Misfire", `${schedule.misfire}, after ${span(schedule.misfire_grace_seconds)}`],
    ["Jitter", schedule.jitter_seconds ? span(schedule.jitter_seconds) : null],
    ["Made by", schedule.source === "config" ? "the configuration" : "the API"],
    ["Changed", at(schedule.updated_at)],
  ]);
}

function nextFires({ next_fires, paused }) {
  if (!next_fires.length)
    return h("p", { class: "faint" }, paused ? "It is paused." : "It has none.");
  return h(
    "ol",
    { class: "times" },
    next_fires.map((time) => h("li", {}, at(time), " ", h("span", { class: "faint" }, ago(time)))),
  );
}

function lastFires({ last_fires }) {
  if (!last_fires.length) return h("p", { class: "faint" }, "It has not fired yet.");
  return h(
    "ol",
    { class: "times" },
    last_fires.map(({ time, kind, job_id }) =>
      h("li", {}, at(time), " ", badge(kind), " ", job_id ? jobLink(job_id) : ""),
    ),
  );
}
