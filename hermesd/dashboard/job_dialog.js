// The dialog that asks for a job, to be submitted once or again and again.

import { Problem, get } from "./api.js";
import { fill, h } from "./dom.js";
import { FormFields, namedBy } from "./form_fields.js";
import { notice } from "./notices.js";
import { PayloadFields } from "./payload_fields.js";

export const LEVELS = [
  ["", "as the type says"],
  ["critical", "critical (10)"],
  ["high", "high (7)"],
  ["normal", "normal (3)"],
  ["background", "background (0)"],
];

/**
 * Open the dialog, unless one is open. `type` and `payload`: what it begins with, as do `values` by
 * name.
 *
 * `head` and `options(queues)` are fields as of FormFields, before the payload and folded away after
 * it; `about` says what is folded. `buttons`: `[value, label]`, the first one is meant by Enter.
 * `send(body, button)` gets the JSON text of all that was entered, once at a time; the element that
 * it returns (`good` by its class, or not) is shown, and with nothing the dialog closes. If it was
 * closed meanwhile, notices tell. `blame(problem)` names the field of a refusal that does not.
 */
export async function openJobDialog({ type = "", payload = {}, values = {}, ...shape }) {
  if (document.querySelector("dialog.submit")) return;
  let types;
  let queues;
  try {
    ({ types } = await get(["types"]));
    ({ queues } = await get(["queues"]).catch(() => ({ queues: [] })));
  } catch (error) {
    notice(error.message, "bad");
    return;
  }
  if (document.querySelector("dialog.submit")) return;
  if (!types.length && !type) {
    notice(
      "No job type is known yet: start a worker, or install a plugin beside the api.",
      "bad",
    );
    return;
  }
  new JobDialog(shape, types, queues).open(type, payload, values);
}

/** The choices of a queue. */
export function queueChoices(queues) {
  return [["", "as the type says"], ...queues.map(({ name }) => [name, name])];
}

class JobDialog {
  constructor({ title, head, options, about, buttons, send, blame = () => "" }, types, queues) {
    this._title = title;
    this._send = send;
    this._blame = blame;
    this._head = new FormFields(head);
    this._options = new FormFields(options(queues));
    this._buttons = buttons.map(([value, label]) =>
      h("button", { type: "submit", value }, label),
    );
    this._buttons[0].classList.add("primary");
    this._payload = new PayloadFields(types, (readable) => this._mark({ readable }));
    this._state = { readable: true, busy: false };
    this._wrong = h("div", { class: "wrong", role: "alert" });
    this._done = h("div", { role: "status" });
    this._dialog = this._build(about);
  }

  open(type, payload, values) {
    this._head.write(values);
    this._options.write(values);
    this._payload.choose(type, payload);
    document.body.append(this._dialog);
    this._dialog.showModal();
    const first = this._head.element.querySelector("input, select");
    if (first) first.focus();
    else this._payload.focus();
  }

  _build(about) {
    const close = h("button", { type: "button" }, "Close");
    close.addEventListener("click", () => this._dialog.close());
    const form = h(
      "form",
      { novalidate: true },
      this._head.element,
      this._payload.element,
      h("details", { class: "more" }, h("summary", {}, about), this._options.element),
      this._wrong,
      this._done,
      h("div", { class: "ends stay" }, close, this._buttons),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this._submit(event.submitter?.value ?? "");
    });
    const dialog = h(
      "dialog",
      { class: "submit", "aria-labelledby": "submit-title" },
      h("h2", { id: "submit-title" }, this._title),
      form,
    );
    dialog.addEventListener("close", () => dialog.remove());
    return dialog;
  }

  // The payload can be edited while a request is under way, so both are kept.
  _mark(change) {
    const { readable, busy } = Object.assign(this._state, change);
    for (const button of this._buttons) button.disabled = busy || !readable;
  }

  async _submit(button) {
    if (this._state.busy) return;
    fill(this._wrong);
    fill(this._done);
    const [head, options] = [this._head.read(), this._options.read()];
    this._fault([...head.wrong, ...options.wrong]);
    if (head.wrong.length || options.wrong.length) return;
    const told = { type: this._payload.type, ...head.values, ...options.values };
    const body = JSON.stringify(told);
    const { text } = this._payload;
    this._mark({ busy: true });
    try {
      const shown = await this._send(
        text ? `${body.slice(0, -1)},"payload":${text}}` : body,
        button,
      );
      if (!shown) this._dialog.close();
      else if (this._dialog.open) fill(this._done, shown);
      else this._tell(shown.textContent, shown.matches(".good") ? "good" : "bad");
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (this._dialog.open) this._refused(error);
      else this._tell(error.message, "bad");
    } finally {
      this._mark({ busy: false });
    }
  }

  _tell(text, kind) {
    notice(`${this._title}: ${text}`, kind);
  }

  // What is wrong with the fields, at each; returns what has none.
  _fault(errors) {
    this._payload.fault([]);
    return this._head.fault(this._options.fault(errors));
  }

  _refused(error) {
    const names = [...this._head.names, ...this._options.names];
    let left = error.errors;
    if (error.slug === "invalid-payload") left = this._payload.fault(left);
    else if (left.length) left = this._fault(left);
    else {
      const name = this._blame(error) || namedBy(error.message, names);
      if (name) this._fault([{ pointer: `/${name}`, reason: error.message }]);
    }
    const lines = left.map(({ pointer, reason }) =>
      h("li", {}, pointer ? h("code", {}, pointer) : null, ` ${reason}`),
    );
    fill(this._wrong, h("p", {}, error.message), lines.length ? h("ul", {}, lines) : null);
  }
}
