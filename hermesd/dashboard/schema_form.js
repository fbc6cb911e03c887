// A form over a JSON Schema: fields that read and write a value, and show what is wrong with it.

import { fill, h } from "./dom.js";
import { escaped, hint, members, question } from "./schema.js";

const MOST_ITEMS = 50;
let serial = 0;

/**
 * A form for values of a schema.
 *
 * `read()` gives the value (undefined: nothing was entered), `write(value)` shows one, and
 * `fault(errors)` shows each `{pointer, reason}` at its field and returns those that have none.
 */
export class SchemaForm {
  constructor(schema, onChange) {
    this._root = schema;
    this._fields = new Map(); // JSON pointer -> {told, box}
    this._field = this._make(schema, "", null, 0, true);
    this.element = h("div", { class: "schema" }, this._field.element);
    this.element.addEventListener("input", () => onChange());
    this._onChange = onChange;
  }

  read() {
    return this._field.read();
  }

  write(value) {
    this._field.write(value);
  }

  fault(errors) {
    for (const { told, box } of this._fields.values()) {
      told.textContent = "";
      box?.removeAttribute("aria-invalid");
    }
    const left = errors.filter(({ pointer, reason }) => !this._tell(pointer, reason));
    this.element.querySelector("[aria-invalid]")?.focus();
    return left;
  }

  _tell(pointer, reason) {
    // What lacks is told of the object that lacks it; people look for it at the field.
    const lacking = /^"(.+)" is a required property$/.exec(reason);
    const field =
      (lacking && this._fields.get(`${pointer}/${escaped(lacking[1])}`)) ||
      this._fields.get(pointer);
    if (!field) return false;
    field.told.textContent = lacking && field.box ? "This is required." : reason;
    field.box?.setAttribute("aria-invalid", "true");
    return true;
  }

  _make(schema, pointer, name, depth, required) {
    const { kind, node } = question(schema, this._root, depth);
    if (kind === "object") return this._object(node, pointer, name, depth);
    if (kind === "array") return this._array(node, pointer, name, depth);
    const box = boxOf(kind, node, required);
    return this._single(box, kind, node, pointer, name, required);
  }

  _single(box, kind, node, pointer, name, required) {
    const id = `field-${(serial += 1)}`;
    box.id = id;
    const told = h("span", { class: "wrong", id: `${id}-wrong`, role: "alert" });
    const about = hint(node);
    box.setAttribute("aria-describedby", `${id}-hint ${id}-wrong`);
    this._fields.set(pointer, { told, box });
    const label = name ?? (kind === "json" ? "Payload as JSON" : "Payload");
    return {
      element: h(
        "div",
        { class: "field" },
        h(
          "label",
          { for: id },
          label,
          required && name !== null ? h("span", { class: "must" }, " required") : null,
        ),
        box,
        h("small", { id: `${id}-hint` }, about),
        told,
      ),
      read: () => valueOf(box, kind, node),
      write: (value) => showIn(box, kind, node, value),
    };
  }

  _object(node, pointer, name, depth) {
    const told = h("span", { class: "wrong", role: "alert" });
    this._fields.set(pointer, { told, box: null });
    const fields = members(node).map(([each, schema, required]) => [
      each,
      this._make(schema, `${pointer}/${escaped(each)}`, each, depth + 1, required),
    ]);
    let others = {}; // members that the schema does not name
    let whole; // what is no object is kept as it is
    const parts = [fields.map(([, field]) => field.element), told];
    return {
      element:
        name === null ? h("div", {}, parts) : h("fieldset", {}, h("legend", {}, name), parts),
      read: () => {
        const value = { ...others };
        for (const [each, field] of fields) {
          const found = field.read();
          if (found !== undefined) value[each] = found;
        }
        const empty = Object.keys(value).length === 0;
        return empty && (whole !== undefined || name !== null) ? whole : value;
      },
      write: (value) => {
        const object = isObject(value) ? value : {};
        whole = isObject(value) && name === null ? undefined : value;
        const known = new Set(fields.map(([each]) => each));
        others = Object.fromEntries(Object.entries(object).filter(([each]) => !known.has(each)));
        for (const [each, field] of fields) field.write(object[each]);
      },
    };
  }

  _array(node, pointer, name, depth) {
    const told = h("span", { class: "wrong", role: "alert" });
    this._fields.set(pointer, { told, box: null });
    const list = h("ol", { class: "items" });
    const add = h("button", { type: "button", class: "quiet" }, `Add to ${name ?? "the list"}`);
    let items = [];
    let given = false; // an empty list was given, which is not the same as none
    const show = () => {
      fill(
        list,
        items.map((item, place) =>
          h(
            "li",
            {},
            item.element,
            this._dropper(name, place, () => drop(place)),
          ),
        ),
      );
      add.disabled = items.length >= MOST_ITEMS;
    };
    const make = (place) =>
      this._make(
        node.items,
        `${pointer}/${place}`,
        `${name ?? "item"} ${place + 1}`,
        depth + 1,
        true,
      );
    const rebuild = (values) => {
      for (const key of this._fields.keys())
        if (key.startsWith(`${pointer}/`)) this._fields.delete(key);
      items = values.slice(0, MOST_ITEMS).map((value, place) => {
        const item = make(place);
        item.write(value);
        return item;
      });
      show();
    };
    const drop = (place) => {
      rebuild(items.map((item) => item.read()).filter((_, each) => each !== place));
      this._onChange();
    };
    add.addEventListener("click", () => {
      items.push(make(items.length));
      show();
      list.lastElementChild.querySelector("input, textarea, select")?.focus();
      this._onChange();
    });
    return {
      element: h(
        "fieldset",
        {},
        h("legend", {}, name ?? "Payload"),
        h("small", {}, hint(node)),
        list,
        add,
        told,
      ),
      read: () => (items.length || given ? items.map((item) => item.read() ?? null) : undefined),
      write: (value) => {
        given = Array.isArray(value);
        rebuild(given ? value : []);
      },
    };
  }

  _dropper(name, place, drop) {
    const button = h(
      "button",
      { type: "button", class: "quiet", "aria-label": `Remove ${name ?? "item"} ${place + 1}` },
      "Remove",
    );
    button.addEventListener("click", drop);
    return button;
  }
}

function isObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

function boxOf(kind, node, required) {
  const common = { "aria-required": required ? "true" : null, autocomplete: "off" };
  if (kind === "choice" || kind === "boolean") {
    const choices = kind === "boolean" ? [true, false] : node.enum;
    return h(
      "select",
      common,
      h("option", { value: "" }, "not set"),
      choices.map((choice, place) =>
        h(
          "option",
          { value: String(place) },
          typeof choice === "string" ? choice : JSON.stringify(choice),
        ),
      ),
    );
  }
  if (kind === "json")
    return h("textarea", { ...common, rows: "2", class: "code", spellcheck: "false" });
  if (kind === "string" && node.contentEncoding) return h("textarea", { ...common, rows: "2" });
  return h("input", { ...common, type: "text", inputmode: kind === "string" ? null : "decimal" });
}

function valueOf(box, kind, node) {
  const text = box.value;
  if (text === "") return undefined;
  if (kind === "choice") return node.enum[Number(text)];
  if (kind === "boolean") return text === "0";
  if (kind === "string") return text;
  try {
    return JSON.parse(text);
  } catch {
    return text; // the api says what is wrong with it
  }
}

function showIn(box, kind, node, value) {
  if (box === document.activeElement && same(valueOf(box, kind, node), value)) return;
  if (value === undefined) box.value = "";
  else if (kind === "choice") box.value = place(node.enum, value);
  else if (kind === "boolean") box.value = place([true, false], value);
  else if (kind === "json") box.value = JSON.stringify(value, null, 2);
  else box.value = typeof value === "string" ? value : JSON.stringify(value);
}

function place(choices, value) {
  const found = choices.findIndex((each) => same(each, value));
  return found < 0 ? "" : String(found);
}

function same(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}
