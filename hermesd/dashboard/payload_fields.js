// The type of a job and its payload: a form made from the type's schema, and the JSON beside it.

import { fill, h, say } from "./dom.js";
import { question } from "./schema.js";
import { SchemaForm } from "./schema_form.js";

/** `onReadable(whether)` follows whether the JSON can be read. */
export class PayloadFields {
  constructor(types, onReadable) {
    this._types = types;
    this._onReadable = onReadable;
    this._select = h(
      "select",
      { id: "submit-type" },
      types.map(({ name }) => h("option", { value: name }, name)),
    );
    this._about = h("small", {});
    this._fields = h("div", { class: "fields" });
    this._raw = h("textarea", {
      id: "submit-raw",
      class: "code",
      rows: "14",
      spellcheck: "false",
      "aria-describedby": "submit-raw-wrong",
    });
    this._word = h("label", { for: "submit-raw" });
    this._wrong = h("span", { class: "wrong", id: "submit-raw-wrong", role: "alert" });
    this._select.addEventListener("change", () => this.choose(this._select.value));
    this._raw.addEventListener("input", () => this._fromRaw());
    this.element = this._build();
  }

  /** The name of the type that is chosen. */
  get type() {
    return this._select.value;
  }

  /** The payload as it was typed, so that numbers stay what they are; may be empty. */
  get text() {
    return this._raw.value.trim();
  }

  /** Ask for the payload of a type, beginning with `payload`; without a name of the first one. */
  choose(name, payload = {}) {
    const type = this._known(name);
    this._select.value = type.name;
    say(
      this._about,
      type.description + (type.workers ? "" : " No worker speaks it now: a job would wait."),
    );
    // Where it is JSON that a form would ask for, once is enough.
    this._plain = question(type.schema, type.schema).kind === "json";
    this._byForm.hidden = this._plain;
    say(this._word, this._plain ? "Payload, as JSON" : "The same as JSON");
    this._form = new SchemaForm(type.schema, () => this._fromForm());
    fill(this._fields, this._plain ? null : this._form.element);
    this._form.write(payload);
    this._raw.value = JSON.stringify(payload, null, 2);
    this._say("");
  }

  /** Put the cursor where one begins. */
  focus() {
    const first = this._plain ? this._raw : this._fields.querySelector("input, select, textarea");
    (first ?? this._select).focus();
  }

  /** Show each `{pointer, reason}` at its field; returns those that have none. */
  fault(errors) {
    const left = this._form.fault(errors);
    return this._plain ? errors : left;
  }

  _known(name) {
    const found = name ? this._types.find((each) => each.name === name) : this._types[0];
    if (found) return found;
    const unknown = { name, description: "No worker has ever registered it.", schema: {} };
    this._types.push(unknown);
    this._select.append(h("option", { value: name }, name));
    return unknown;
  }

  _build() {
    const label = { "aria-label": "Payload by form" };
    this._byForm = h("section", label, h("h3", {}, "Payload"), this._fields);
    return h(
      "div",
      {},
      h(
        "div",
        { class: "field" },
        h("label", { for: "submit-type" }, "Type"),
        this._select,
        this._about,
      ),
      h(
        "div",
        { class: "columns even" },
        this._byForm,
        h(
          "section",
          { class: "field", "aria-label": "Payload as JSON" },
          h("h3", {}, this._word),
          this._raw,
          this._wrong,
        ),
      ),
    );
  }

  _fromForm() {
    const value = this._form.read();
    this._raw.value = value === undefined ? "" : JSON.stringify(value, null, 2);
    this._say("");
  }

  _fromRaw() {
    try {
      this._form.write(this.text ? JSON.parse(this.text) : undefined);
      this._say("");
    } catch (error) {
      this._say(`This is no JSON yet: ${error.message}`);
    }
  }

  _say(text) {
    say(this._wrong, text);
    this._raw.toggleAttribute("aria-invalid", text !== "");
    this._onReadable(text === "");
  }
}
