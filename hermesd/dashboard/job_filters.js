// The filters of job listings: read from the address, shown as a form, sent to the api.

import { STATES } from "./badges.js";
import { h } from "./dom.js";
import { count, isoOf, localOf } from "./format.js";

const MANY = ["state", "type", "queue", "label", "priority"];
const ONE = [
  "worker",
  "text",
  "after",
  "before",
  "finished_after",
  "finished_before",
  "error_kind",
  "error",
];
const SHOWN = ["type", "queue"]; // at once, beside the text
const MORE = ["worker", "label", "priority", "error_kind"];
const TYPING_MS = 250;
const HINTS = {
  type: ["Type", "email.send"],
  queue: ["Queue", "default"],
  worker: ["Worker", "its id"],
  label: ["Label", "name:value"],
  priority: ["Priority", "0 to 10"],
  error_kind: ["Error kind", "timeout"],
};
const TIMES = {
  after: "Created after",
  before: "Created before",
  finished_after: "Ended after",
  finished_before: "Ended before",
};

/** The filters in the query of an address, as `{name: text or list}`; those not given are left out. */
export function readFilters(query) {
  const found = {};
  for (const name of MANY) {
    const values = query
      .getAll(name)
      .flatMap((value) => (name === "label" ? [value] : value.split(",")));
    if (values.filter(Boolean).length) found[name] = values.filter(Boolean);
  }
  // An empty `error` is a filter too: the group of jobs that failed without a message.
  for (const name of ONE)
    if (query.get(name) || (name === "error" && query.has(name))) found[name] = query.get(name);
  return found;
}

/** Filters as the body of an order takes them. */
export function orderFilter(filters) {
  const found = { ...filters };
  if (found.priority) found.priority = found.priority.map((each) => (Number.isNaN(Number(each)) ? each : Number(each)));
  return found;
}

/**
 * A form over the filters; `onChange(filters)` follows what is typed.
 *
 * `states`: whether the states are there as switches.
 */
export class FilterForm {
  constructor({ states, onChange }) {
    this._onChange = onChange;
    this._fields = new Map();
    this._hidden = {};
    this._timer = null;
    this._tallies = new Map();
    this._states = states ? this._stateSwitches() : null;
    const search = this._field("text", {
      type: "search",
      placeholder: "Text in id or error",
      "data-filter": true,
      "aria-label": "Text in id or error",
    });
    const rest = [...MORE, ...Object.keys(TIMES)].map((name) => this._labelled(name));
    this._more = h(
      "details",
      { class: "more" },
      h("summary", {}, "More filters"),
      h("div", { class: "grid" }, rest),
    );
    const clear = h("button", { type: "button", class: "quiet" }, "Clear");
    clear.addEventListener("click", () => this._onChange({}));
    this.element = h(
      "form",
      { class: "filters", role: "search" },
      this._states,
      h(
        "div",
        { class: "line" },
        search,
        SHOWN.map((name) => this._labelled(name)),
        clear,
      ),
      this._more,
    );
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this._tell();
    });
    this.element.addEventListener("input", () => {
      clearTimeout(this._timer);
      this._timer = setTimeout(() => this._tell(), TYPING_MS);
    });
  }

  /** Show these filters; a field that is being typed in keeps what it has. */
  show(filters) {
    this._hidden = {};
    for (const [name, value] of Object.entries(filters)) {
      if (!this._fields.has(name) && name !== "state") this._hidden[name] = value;
    }
    for (const [name, field] of this._fields) {
      if (field === document.activeElement) continue;
      const value = filters[name];
      field.value = name in TIMES ? localOf(value) : [value ?? ""].flat().join(", ");
      if (value && this._more.contains(field)) this._more.open = true;
    }
    const states = filters.state ?? [];
    for (const box of this._states?.querySelectorAll("input") ?? [])
      box.checked = states.includes(box.value);
  }

  /** How many jobs are in each state, where the summary says so. */
  count(jobs) {
    for (const [state, element] of this._tallies) element.textContent = count(jobs[state] ?? 0);
  }

  _tell() {
    clearTimeout(this._timer);
    const found = { ...this._hidden };
    for (const [name, field] of this._fields) {
      const value = field.value.trim();
      if (!value) continue;
      if (name in TIMES) found[name] = isoOf(value) ?? value; // the api says what is wrong with it
      else if (MANY.includes(name))
        found[name] = value
          .split(",")
          .map((each) => each.trim())
          .filter(Boolean);
      else found[name] = value;
    }
    const states = [...(this._states?.querySelectorAll("input:checked") ?? [])].map(
      ({ value }) => value,
    );
    if (states.length) found.state = states;
    this._onChange(found);
  }

  _field(name, attributes) {
    const field = h("input", { name, autocomplete: "off", spellcheck: "false", ...attributes });
    this._fields.set(name, field);
    return field;
  }

  _labelled(name) {
    if (name in TIMES)
      return h("label", {}, TIMES[name], this._field(name, { type: "datetime-local", step: "1" }));
    const [word, hint] = HINTS[name];
    const list = name === "type" || name === "queue" ? `known-${name}` : null;
    return h("label", {}, word, this._field(name, { type: "text", placeholder: hint, list }));
  }

  _stateSwitches() {
    return h(
      "fieldset",
      { class: "switches" },
      h("legend", { class: "unseen" }, "States"),
      STATES.map((state) => {
        const tally = h("span", { class: "tally" }, "");
        this._tallies.set(state, tally);
        return h(
          "label",
          { class: state },
          h("input", { type: "checkbox", value: state }),
          h("span", {}, state),
          tally,
        );
      }),
    );
  }
}
