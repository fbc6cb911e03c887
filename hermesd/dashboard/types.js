// The job types: who speaks them, how they do, their schemas and defaults.

import { get } from "./api.js";
import { nameColumn } from "./columns.js";
import { fill, h, link } from "./dom.js";
import { ago, count, decimal, span } from "./format.js";
import { keepFresh } from "./fresh.js";
import { facts, head, jsonBlock, part } from "./head.js";
import { action, faultLine } from "./notices.js";
import { go, to } from "./router.js";
import { openSubmit } from "./submit.js";
import { Table } from "./table.js";

/** Open the list, or the type that the route names. */
export function open({ main, route, live, signal }) {
  const [, name] = route.parts;
  const fault = faultLine(() => refresh());
  const content = h("div", {});
  const list = name ? null : typeTable();
  fill(
    main,
    list
      ? head(
          "Job types",
          "What the workers can run, with what it takes; rates of the last five minutes.",
        )
      : null,
    fault.element,
    list ? list.element : content,
  );
  const detail = name ? new TypeDetail(content) : null;
  const refresh = keepFresh({
    live,
    signal,
    fail: fault.show,
    pauseMs: 3_000,
    load: async () => {
      const answer = await get(["types"], {}, signal);
      const types = answer.types.map((type) => ({ ...type, window: answer.window_seconds }));
      if (list) return list.update(types);
      const found = types.find((each) => each.name === name);
      return found ? detail.show(found) : fill(content, unknown(name));
    },
  });
  return { title: name ? `Type ${name}` : "Job types" };
}

function unknown(name) {
  return [
    h("h1", {}, "There is no such type"),
    h("p", {}, `No worker has ever registered ${name}. `, link("#/types", "All types")),
  ];
}

const rate = (number, seconds) => (seconds ? `${decimal(number / seconds)}/s` : "–");

function typeTable() {
  const recent =
    (name) =>
    ({ recent: told, window }) =>
      told ? rate(told[name], window) : "–";
  return new Table({
    label: "Job types",
    key: ({ name }) => name,
    onOpen: ({ name }) => go(to(["types", name])),
    empty:
      "No type is known yet: they come with the first worker that registers, or with the plugins installed here.",
    columns: [
      nameColumn("Type", (name) => to(["types", name])),
      { label: "Kind", value: ({ kind }) => kind, kind: "wide" },
      {
        label: "Description",
        value: ({ description }) => firstSentence(description),
        kind: "text wide",
      },
      { label: "Workers", value: ({ workers }) => count(workers), kind: "number" },
      { label: "Waiting", value: ({ waiting }) => count(waiting), kind: "number" },
      { label: "Submitted", value: recent("submitted"), kind: "number" },
      { label: "Succeeded", value: recent("succeeded"), kind: "number wide" },
      { label: "Failed", value: recent("failed"), kind: "number" },
      { label: "Run p95", value: ({ recent: told }) => span(told?.run?.p95), kind: "number" },
      {
        label: "",
        value: () => "orders",
        node: ({ name }) =>
          action("Submit", () => openSubmit(name), {
            class: "quiet",
            "aria-label": `Submit a ${name}`,
          }),
        kind: "ends",
      },
    ],
  });
}

function firstSentence(text) {
  const [first] = text.split(/(?<=[.;]) /);
  return first.length > 120 ? `${first.slice(0, 120)}…` : first.replace(/;$/, ".");
}

class TypeDetail {
  constructor(content) {
    this._content = content;
    this._now = h("div", {});
    this._told = "";
  }

  /** Show a type; what changes from moment to moment by itself, so that the rest stands still. */
  show(type) {
    const { name, kind, description, schema, defaults, source } = type;
    const told = JSON.stringify([kind, description, schema, defaults, source]);
    if (told !== this._told) fill(this._content, this._lasting(type));
    this._told = told;
    fill(
      this._now,
      nowFacts(type),
      type.recent && part(`The last ${span(Math.round(type.window))}`, recentFacts(type)),
    );
    return name;
  }

  _lasting({ name, kind, description, schema, defaults, source }) {
    return [
      head(
        name,
        description || null,
        action("Submit one", () => openSubmit(name), { class: "primary" }),
      ),
      h(
        "div",
        { class: "columns" },
        h(
          "div",
          {},
          this._now,
          part(
            "Defaults",
            facts([
              ["Runs as", kind],
              ["Known by", source],
            ]),
            defaultsOf(defaults),
          ),
        ),
        part(
          "Schema of the payload",
          Object.keys(schema).length
            ? jsonBlock(schema, "Schema")
            : h("p", { class: "faint" }, "It takes any payload."),
        ),
      ),
      h(
        "p",
        {},
        link(to("jobs", { type: name }), "Its jobs"),
        " · ",
        link(to("letters", { type: name }), "Its dead letters"),
        " · ",
        link("#/types", "All types"),
      ),
    ];
  }
}

function nowFacts({ name, workers, waiting, last_seen }) {
  return facts([
    ["Workers", link(to("workers", { text: name }), count(workers))],
    ["Waiting", link(to("jobs", { type: name, state: "queued" }), count(waiting))],
    ["Last seen", ago(last_seen)],
  ]);
}

function recentFacts({ recent, window }) {
  const timing = (name) =>
    recent[name] &&
    ["p50", "p95", "p99"].map((each) => `${each} ${span(recent[name][each])}`).join(", ");
  const told = ["submitted", "succeeded", "failed", "retried", "cancelled"].map((name) => [
    name,
    `${count(recent[name])} (${rate(recent[name], window)})`,
  ]);
  return facts([...told, ["Submit → start", timing("wait")], ["Run time", timing("run")]]);
}

function defaultsOf(defaults) {
  const set = Object.entries(defaults).filter(([, value]) => value !== null);
  if (!set.length) return h("p", { class: "faint" }, "None of its own: the configuration's hold.");
  return facts(
    set.map(([name, value]) => [
      name.replaceAll("_", " "),
      typeof value === "object" ? h("code", {}, JSON.stringify(value)) : String(value),
    ]),
  );
}
