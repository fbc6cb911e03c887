// The dialog that submits a job: a form made from the type's schema, and the JSON beside it.

import { Problem, get, post } from "./api.js";
import { fill, h, link, say } from "./dom.js";
import { notice } from "./notices.js";
import { OptionFields, optionOf } from "./submit_options.js";
import { go, to } from "./router.js";
import { SchemaForm } from "./schema_form.js";

/** Open the dialog, for a type and with a payload if they are known. */
export async function openSubmit(name = "", payload = {}) {
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
  const dialog = new SubmitDialog(types, queues);
  dialog.choose(name || types[0]?.name || "", payload);
  dialog.open();
}

class SubmitDialog {
  constructor(types, queues) {
    this._types = types;
    this._form = null;
    this._select = h(
      "select",
      { id: "submit-type" },
      types.map((type) => h("option", { value: type.name }, type.name)),
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
    this._rawWrong = h("span", { class: "wrong", id: "submit-raw-wrong", role: "alert" });
    this._wrong = h("div", { class: "wrong", role: "alert" });
    this._done = h("div", { role: "status" });
    this._options = new OptionFields(queues);
    this._send = h("button", { type: "submit", class: "primary" }, "Submit");
    this._stay = h("button", { type: "submit", value: "stay" }, "Submit and stay");
    this._dialog = this._build();
  }

  open() {
    document.body.append(this._dialog);
    this._dialog.showModal();
    const first = this._fields.querySelector("input, select, textarea") ?? this._select;
    first.focus();
  }

  choose(name, payload = {}) {
    const type = this._types.find((each) => each.name === name) ?? this._types[0];
    if (!type) {
      fill(
        this._fields,
        h("p", {}, "No job type is known yet: start a worker, or install a plugin beside the api."),
      );
      this._send.disabled = this._stay.disabled = true;
      return;
    }
    this._select.value = type.name;
    say(
      this._about,
      type.description + (type.workers ? "" : " No worker speaks it now: a job would wait."),
    );
    this._form = new SchemaForm(type.schema, () => this._fromForm());
    fill(this._fields, this._form.element);
    this._form.write(payload);
    this._raw.value = JSON.stringify(payload, null, 2);
    this._clear();
  }

  _build() {
    const close = h("button", { type: "button" }, "Close");
    close.addEventListener("click", () => this._dialog.close());
    this._select.addEventListener("change", () => this.choose(this._select.value));
    this._raw.addEventListener("input", () => this._fromRaw());
    const form = h(
      "form",
      { novalidate: true },
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
        h("section", { "aria-label": "Payload by form" }, h("h3", {}, "Payload"), this._fields),
        h(
          "section",
          { class: "field", "aria-label": "Payload as JSON" },
          h("h3", {}, h("label", { for: "submit-raw" }, "The same as JSON")),
          this._raw,
          this._rawWrong,
        ),
      ),
      this._options.element,
      this._wrong,
      this._done,
      h("div", { class: "ends stay" }, close, this._stay, this._send),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this._submit(event.submitter === this._stay);
    });
    const dialog = h(
      "dialog",
      { class: "submit", "aria-labelledby": "submit-title" },
      h("h2", { id: "submit-title" }, "Submit a job"),
      form,
    );
    dialog.addEventListener("close", () => dialog.remove());
    return dialog;
  }

  _fromForm() {
    const value = this._form.read();
    this._raw.value = value === undefined ? "" : JSON.stringify(value, null, 2);
    this._rawSays("");
  }

  _fromRaw() {
    try {
      this._form.write(this._raw.value.trim() ? JSON.parse(this._raw.value) : undefined);
      this._rawSays("");
    } catch (error) {
      this._rawSays(`This is no JSON yet: ${error.message}`);
    }
  }

  _rawSays(text) {
    say(this._rawWrong, text);
    this._raw.toggleAttribute("aria-invalid", text !== "");
    this._send.disabled = this._stay.disabled = text !== "";
  }

  _clear() {
    this._rawSays("");
    fill(this._wrong);
    this._form.fault([]);
    this._options.fault([]);
  }

  async _submit(stay) {
    this._clear();
    fill(this._done);
    const told = this._options.read();
    if (told.wrong.length) {
      this._options.fault(told.wrong);
      return;
    }
    const head = JSON.stringify({ type: this._select.value, ...told.options });
    const payload = this._raw.value.trim();
    // The text itself, so that numbers stay what was typed.
    const body = payload ? `${head.slice(0, -1)},"payload":${payload}}` : head;
    this._send.disabled = this._stay.disabled = true;
    try {
      this._accepted(await post(["jobs"], body), stay);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this._refused(error);
    } finally {
      this._send.disabled = this._stay.disabled = false;
    }
  }

  _accepted({ job, routed, note, repeated }, stay) {
    const how = repeated
      ? "is known already, by its idempotency key"
      : `is accepted (${note || routed})`;
    if (stay) {
      fill(
        this._done,
        h("p", { class: "good" }, "Job ", link(to(["jobs", job.id]), job.id), ` ${how}.`),
      );
      return;
    }
    this._dialog.close();
    notice(`Job ${job.id} ${how}.`);
    go(to(["jobs", job.id]));
  }

  _refused(error) {
    let left = error.errors;
    if (error.slug === "invalid-payload") left = this._form.fault(left);
    else if (error.slug === "unknown-queue")
      left = this._options.fault([{ pointer: "/queue", reason: error.message }]);
    else if (left.length || optionOf(error.message)) {
      left = this._options.fault(
        left.length ? left : [{ pointer: `/${optionOf(error.message)}`, reason: error.message }],
      );
    }
    const lines = left.map(({ pointer, reason }) =>
      h("li", {}, pointer ? h("code", {}, pointer) : null, ` ${reason}`),
    );
    fill(this._wrong, h("p", {}, error.message), lines.length ? h("ul", {}, lines) : null);
  }
}
