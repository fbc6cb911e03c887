// Fields that are told to the api by their names: read, shown, and faulted one by one.

import { h } from "./dom.js";
import { isoOf, localOf } from "./format.js";

/**
 * A grid of fields: `{name, label, kind, choices, must, hint, list, placeholder}`. `kind`: `number`,
 * `time` (of the viewer's zone), `labels`, `choice` (of `choices`: `[[value, word], …]`), or a text.
 */
export class FormFields {
  constructor(fields) {
    this._fields = fields.map((field) => ({ ...field, box: boxOf(field), given: undefined }));
    this.element = h(
      "div",
      { class: "grid" },
      this._fields.map((field) => around(field)),
    );
  }

  /** The names of the fields. */
  get names() {
    return this._fields.map(({ name }) => name);
  }

  /** Show these values by name, and nothing where there is none. */
  write(values) {
    for (const field of this._fields) {
      const { box, kind, name } = field;
      field.given = values[name] ?? undefined;
      const text = textOf(kind, field.given);
      if (kind === "choice" && text && ![...box.options].some(({ value }) => value === text))
        box.append(h("option", { value: text }, text));
      box.value = text;
      if (kind === "choice" && box.selectedIndex < 0) box.selectedIndex = 0;
      field.shown = box.value;
    }
  }

  /** `{values, wrong}`: what was entered, as the api takes it, and what cannot be read. */
  read() {
    const values = {};
    const wrong = [];
    for (const { name, kind, must, box, given, shown } of this._fields) {
      const text = box.value.trim();
      if (!text) {
        if (must) wrong.push({ pointer: `/${name}`, reason: "This is required." });
        continue;
      }
      const kept = given !== undefined && box.value === shown;
      values[name] = kept ? given : valueOf(kind, text);
      if (values[name] === null) wrong.push({ pointer: `/${name}`, reason: UNREADABLE[kind] });
    }
    return { values, wrong };
  }

  /** Show each `{pointer, reason}` at its field; returns those that have none. */
  fault(errors) {
    for (const { box, told } of this._fields) {
      told.textContent = "";
      box.removeAttribute("aria-invalid");
    }
    const left = errors.filter(({ pointer, reason }) => {
      const field = this._fields.find(({ name }) => name === pointer.split("/")[1]);
      if (!field) return true;
      field.told.textContent = reason;
      field.box.setAttribute("aria-invalid", "true");
      return false;
    });
    const first = this._fields.find(({ box }) => box.hasAttribute("aria-invalid"));
    if (first) {
      const folded = this.element.closest("details");
      if (folded) folded.open = true;
      first.box.focus();
    }
    return left;
  }
}

/** Which of the names a refusal without a pointer is about, by the words it begins with; else "". */
export function namedBy(text, names) {
  const words = text
    .toLowerCase()
    .replace(/^an? /, "")
    .replace(/^label /, "labels ")
    .replace(/[^a-z]+/g, "_");
  return names.find((name) => words.startsWith(`${name}_`)) ?? "";
}

const UNREADABLE = {
  number: "This is no number.",
  time: "This is no time.",
  labels: "Write name:value, several with commas between.",
};

function boxOf({ kind, choices, list, placeholder }) {
  if (kind === "choice")
    return h(
      "select",
      {},
      choices.map(([value, word]) => h("option", { value }, word)),
    );
  const shape =
    kind === "time"
      ? { type: "datetime-local", step: "1" }
      : { type: "text", inputmode: kind === "number" ? "decimal" : null };
  return h("input", { ...shape, list, placeholder, autocomplete: "off", spellcheck: "false" });
}

function around(field) {
  const { name, label, must, hint, box } = field;
  const id = `option-${name}`;
  box.id = id;
  box.setAttribute("aria-describedby", `${id}-hint ${id}-wrong`);
  if (must) box.setAttribute("aria-required", "true");
  field.told = h("span", { class: "wrong", id: `${id}-wrong`, role: "alert" });
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, label, must ? h("span", { class: "must" }, " required") : null),
    box,
    h("small", { id: `${id}-hint` }, hint ?? ""),
    field.told,
  );
}

function textOf(kind, value) {
  if (value === undefined) return "";
  if (kind === "time") return localOf(value);
  if (kind !== "labels") return String(value);
  const pairs = Object.entries(value).map(([name, each]) => `${name}:${each}`);
  return pairs.join(", ");
}

// null where it cannot be read.
function valueOf(kind, text) {
  if (kind === "number") return Number.isFinite(Number(text)) ? Number(text) : null;
  if (kind === "time") return isoOf(text);
  return kind === "labels" ? labelsOf(text) : text;
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
