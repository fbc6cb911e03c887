// The lines that a job's handler has logged, followed as they come.

import { get } from "./api.js";
import { badge } from "./badges.js";
import { h } from "./dom.js";
import { at } from "./format.js";

const PAGE = 200;
const MOST_LINES = 500;
const MOST_PAGES = 25; // at once; the rest comes with the next look

/** The newest 500 lines of one job. */
export class JobLog {
  constructor(id) {
    this._id = id;
    this._after = 0;
    this._cut = 0;
    this._note = h("p", { class: "faint" });
    this._lines = h("ol");
    this._box = h(
      "div",
      { class: "log", tabindex: "0", role: "log", "aria-label": "Log of the job" },
      this._lines,
    );
    this.element = h("section", { class: "part" }, h("h2", {}, "Log"), this._note, this._box);
    this._say(0);
  }

  /** Add what has come since the last call; `dropped` lines were never kept. */
  async load(signal, dropped = 0) {
    const box = this._box;
    const following = box.scrollTop + box.clientHeight >= box.scrollHeight - 8;
    for (let page = 0; page < MOST_PAGES; page += 1) {
      const found = await get(
        ["jobs", this._id, "logs"],
        { after: this._after, limit: PAGE },
        signal,
      );
      for (const line of found.lines) this._add(line);
      if (found.next_after === null) break;
    }
    this._say(dropped);
    if (following) box.scrollTop = box.scrollHeight;
  }

  _add({ number, time, level, line, run, attempt }) {
    this._after = number;
    const where = run > 1 ? `run ${run}, attempt ${attempt}` : `attempt ${attempt}`;
    this._lines.append(
      h(
        "li",
        {},
        at(time),
        level === "info" ? h("span", { class: "faint" }, level) : badge(level),
        h("span", { class: "text" }, line),
        h("span", { class: "faint" }, where),
      ),
    );
    if (this._lines.children.length > MOST_LINES) {
      this._lines.firstChild.remove();
      this._cut += 1;
    }
  }

  _say(dropped) {
    const told = [];
    if (!this._lines.children.length) told.push("Its handler has logged nothing.");
    if (this._cut) told.push(`${this._cut} older lines are not shown here.`);
    if (dropped) told.push(`${dropped} lines were too many and are not kept.`);
    this._note.textContent = told.join(" ");
    this._note.hidden = told.length === 0;
    this._box.hidden = this._lines.children.length === 0;
  }
}
