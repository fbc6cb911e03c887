// What a submit may say beside type and payload: each left out where nothing is entered.

import { h } from "./dom.js";

const OPTION_NAMES = [
  "queue",
  "priority",
  "delay",
  "run_at",
  "max_attempts",
  "timeout",
  "labels",
  "idempotency_key",
];

const LEVELS = [
  ["", "as the type says"],
  ["critical", "critical (10)"],
  ["high", "high (7)"],
  ["normal", "normal (3)"],
  ["background", "background (0)"],
];
const NUMBERS = ["delay", "max_attempts", "timeout"];

/** The fields, behind a heading that opens them. */
export class OptionFields {
  constructor(queues) {
    this._boxes = new Map();
    this._wrong = new Map();
    const options = (found) => found.map(([value, word]) => h("option", { value }, word));
    this._details = h(
      "details",
      { class: "more" },
      h("summary", {}, "Options: queue, priority, time, attempts, labels"),
      h(
        "div",
        { class: "grid" },
        this._field(
          "queue",
          "Queue",
          h(
            "select",
            {},
            options([["", "as the type says"], ...queues.map(({ name }) => [name, name])]),
          ),
        ),
        this._field("priority", "Priority", h("select", {}, options(LEVELS))),
        this._field(
          "delay",
          "Start in, seconds",
          h("input", { type: "text", inputmode: "decimal" }),
        ),
        this._field("run_at", "or start at", h("input", { type: "datetime-local", step: "1" })),
        this._field("max_attempts", "Attempts", h("input", { type: "text", inputmode: "numeric" })),
        this._field(
          "timeout",
          "Time limit, seconds",
          h("input", { type: "text", inputmode: "decimal" }),
        ),
        this._field(
          "labels",
          "Labels",
          h("input", { type: "text", placeholder: "customer:ann, zone:a" }),
        ),
        this._field("idempotency_key", "Idempotency key", h("input", { type: "text" })),
      ),
    );
    this.element = this._details;
  }

  /** `{options, wrong}`: what was entered, as the api takes it, and what cannot be read. */
  read() {
    const options = {};
    const wrong = [];
    for (const [name, box] of this._boxes) {
      const text = box.value.trim();
      if (!text) continue;
      if (NUMBERS.includes(name)) {
        options[name] = Number(text);
        if (Number.isNaN(options[name]))
          wrong.push({ pointer: `/${name}`, reason: "This is no number." });
      } else if (name === "run_at") options[name] = new Date(text).toISOString();
      else if (name === "labels") {
        options[name] = labelsOf(text);
        if (!options[name])
          wrong.push({
            pointer: "/labels",
            reason: "Write name:value, several with commas between.",
          });
      } else options[name] = text;
    }
    return { options, wrong };
  }

  /** Show each `{pointer, reason}` at its field; returns those that have none. */
  fault(errors) {
    for (const [name, told] of this._wrong) {
      told.textContent = "";
      this._boxes.get(name).removeAttribute("aria-invalid");
    }
    return errors.filter(({ pointer, reason }) => {
      const name = pointer.split("/")[1];
      if (!this._boxes.has(name)) return true;
      this._details.open = true;
      this._wrong.get(name).textContent = reason;
      this._boxes.get(name).setAttribute("aria-invalid", "true");
      this._boxes.get(name).focus();
      return false;
    });
  }

  _field(name, word, box) {
    const id = `option-${name}`;
    const told = h("span", { class: "wrong", id: `${id}-wrong`, role: "alert" });
    box.id = id;
    box.autocomplete = "off";
    box.setAttribute("aria-describedby", `${id}-wrong`);
    this._boxes.set(name, box);
    this._wrong.set(name, told);
    return h("div", { class: "field" }, h("label", { for: id }, word), box, told);
  }
}

/** Which option a refusal without a pointer is about, by the words that it begins with; else "". */
export function optionOf(text) {
  const words = text
    .toLowerCase()
    .replace(/^an? /, "")
    .replace(/^label /, "labels ")
    .replaceAll(" ", "_");
  return OPTION_NAMES.find((name) => words.startsWith(`${name}_`)) ?? "";
}

function labelsOf(text) {
  const labels = {};
  for (const pair of text
    .split(",")
    .map((each) => each.trim())
    .filter(Boolean)) {
    const colon = pair.indexOf(":");
    if (colon < 1) return null;
    labels[pair.slice(0, colon).trim()] = pair.slice(colon + 1).trim();
  }
  return labels;
}
