// Tables whose rows are kept: updates touch only the cells that have changed.

import { fill, h } from "./dom.js";

export const MOST_ROWS = 200;

/**
 * A table of at most 200 rows.
 *
 * `columns`: `{label, value(row), node(row), kind}`; `value` is a text that tells whether a cell has
 * changed, and is shown where there is no `node`. `kind` is a class: `number`, `wide` (left out on
 * narrow screens), `main` (the row's name). `key(row)` is unique. `onOpen(row)`: Enter or a double
 * click on a row. `onSelect(keys)`: with it, rows have boxes. `empty`: what to say when there are none.
 */
export class Table {
  constructor({ label, columns, key, onOpen, onSelect, empty }) {
    this._columns = columns;
    this._key = key;
    this._onOpen = onOpen;
    this._onSelect = onSelect;
    this._kept = new Map(); // key -> {row, line, cells, values, box}
    this.selected = new Set();
    this._body = h("tbody", { role: "rowgroup" });
    this._all = onSelect ? this._allBox() : null;
    this._table = h(
      "table",
      { role: "table", "aria-label": label, class: onSelect ? "choosing" : null },
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, this._heads())),
      this._body,
    );
    this._empty = h("div", { class: "empty loading" }, "Loading…"); // until the first update
    this._nothing = empty;
    this._table.hidden = true;
    this.element = h("div", { class: "table" }, this._table, this._empty);
    this._body.addEventListener("keydown", (event) => this._onKey(event));
    this._body.addEventListener("dblclick", (event) => this._onDouble(event));
  }

  /** Show these rows, in this order. */
  update(rows) {
    const shown = rows.slice(0, MOST_ROWS);
    const keys = new Set(shown.map(this._key));
    for (const [key, kept] of this._kept) {
      if (keys.has(key)) continue;
      kept.line.remove();
      this._kept.delete(key);
    }
    let place = this._body.firstChild;
    for (const row of shown) {
      const kept = this._kept.get(this._key(row)) ?? this._make(row);
      this._refresh(kept, row);
      if (kept.line === place) place = place.nextSibling;
      else this._body.insertBefore(kept.line, place);
    }
    if (this._nothing) fill(this._empty, this._nothing);
    this._nothing = null;
    this._empty.classList.remove("loading");
    this._empty.hidden = shown.length > 0;
    this._table.hidden = shown.length === 0;
    this._forget(keys);
    this._rove();
  }

  /** Select no row, or all that are shown. */
  choose(all) {
    this.selected = new Set(all ? this._kept.keys() : []);
    this._mark();
  }

  _heads() {
    const heads = this._columns.map(({ label, kind }) =>
      h(
        "th",
        { role: "columnheader", scope: "col", class: kind },
        label || h("span", { class: "unseen" }, "Orders"),
      ),
    );
    if (this._all) heads.unshift(h("th", { role: "columnheader", class: "box" }, this._all));
    return heads;
  }

  _allBox() {
    const box = h("input", { type: "checkbox", "aria-label": "Select all rows" });
    box.addEventListener("change", () => this.choose(box.checked));
    return box;
  }

  _make(row) {
    const key = this._key(row);
    const cells = this._columns.map(({ label, kind }) =>
      h("td", { role: "cell", class: kind, "data-label": label }),
    );
    const line = h("tr", { role: "row", tabindex: "-1", "data-key": key });
    const kept = { row, line, cells, values: [], box: null };
    if (this._onSelect) {
      kept.box = h("input", { type: "checkbox", "aria-label": `Select ${key}` });
      kept.box.addEventListener("change", () => this._toggle(key));
      kept.box.checked = this.selected.has(key);
      line.append(h("td", { role: "cell", class: "box" }, kept.box));
    }
    line.append(...cells);
    this._kept.set(key, kept);
    return kept;
  }

  _refresh(kept, row) {
    kept.row = row;
    this._columns.forEach(({ value, node }, place) => {
      const text = String(value(row) ?? "");
      if (kept.values[place] === text) return;
      kept.values[place] = text;
      fill(kept.cells[place], node ? node(row) : text);
    });
  }

  _toggle(key) {
    if (!this.selected.delete(key)) this.selected.add(key);
    this._mark();
  }

  _forget(keys) {
    if (!this._onSelect) return;
    for (const key of this.selected) if (!keys.has(key)) this.selected.delete(key);
    this._mark();
  }

  _mark() {
    for (const [key, kept] of this._kept) {
      const chosen = this.selected.has(key);
      kept.box.checked = chosen;
      kept.line.classList.toggle("chosen", chosen);
    }
    this._all.checked = this._kept.size > 0 && this.selected.size === this._kept.size;
    this._all.indeterminate = this.selected.size > 0 && !this._all.checked;
    this._onSelect(this.selected);
  }

  // One row is reached by Tab, the others from there by the arrow keys.
  _rove() {
    const lines = [...this._body.children];
    if (lines.some((line) => line.tabIndex === 0)) return;
    if (lines.length) lines[0].tabIndex = 0;
  }

  _onKey(event) {
    const line = event.target.closest("tr");
    if (event.target !== line || event.ctrlKey || event.metaKey || event.altKey) return;
    const goal = {
      ArrowDown: line.nextElementSibling,
      ArrowUp: line.previousElementSibling,
      Home: this._body.firstElementChild,
      End: this._body.lastElementChild,
    };
    if (event.key in goal) this._focus(line, goal[event.key]);
    else if (event.key === "Enter" && this._onOpen)
      this._onOpen(this._kept.get(line.dataset.key).row);
    else if (event.key === " " && this._onSelect) this._toggle(line.dataset.key);
    else return;
    event.preventDefault();
  }

  _focus(from, line) {
    if (!line) return;
    from.tabIndex = -1;
    line.tabIndex = 0;
    line.focus();
  }

  _onDouble(event) {
    const line = event.target.closest("tr");
    if (this._onOpen && line && !event.target.closest("a, button, input")) {
      this._onOpen(this._kept.get(line.dataset.key).row);
    }
  }
}
