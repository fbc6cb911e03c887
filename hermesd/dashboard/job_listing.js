// A listing of jobs: its filters in the address, page by page, and orders for those that are selected
// or for all that match.

import { get } from "./api.js";
import { order } from "./bulk.js";
import { fill, h, say } from "./dom.js";
import { count } from "./format.js";
import { FilterForm, orderFilter, readFilters } from "./job_filters.js";
import { PAGE_ROWS, jobTable, pager } from "./job_table.js";
import { action } from "./notices.js";
import { go, to } from "./router.js";

/**
 * `path`: of the view, `source`: the api's route, `states`: whether states are among the filters;
 * `label`, `columns` and `empty` as of a jobTable. `orders`: as `order` takes them, each with
 * `fitting` where it is only for jobs of those states. `done` is called when one was carried out.
 */
export class JobListing {
  constructor({ path, source, states, label, columns, empty, orders, done }) {
    this._path = path;
    this._source = source;
    this._states = states;
    this.form = new FilterForm({
      states,
      onChange: (filters) => go(to(path, filters), { replace: true }),
    });
    this._table = jobTable({
      label,
      columns,
      empty,
      onSelect: (chosen) => this._bar.show(chosen.size, this.filters),
    });
    this._bar = ordersBar(orders, {
      selected: () => [...this._table.selected],
      filters: () => this.filters,
      done: () => {
        this._table.choose(false);
        done();
      },
    });
    this._foot = h("div", {});
    this.note = h("div", {}); // between the filters and the jobs
    this.parts = [
      this.form.element,
      this.note,
      this._bar.element,
      this._table.element,
      this._foot,
    ];
  }

  /** Take the filters and the page from a route; `load` shows its jobs. */
  move({ query }) {
    const { state, ...others } = readFilters(query);
    this.filters = this._states && state ? { state, ...others } : others;
    this._cursor = query.get("cursor") ?? "";
    this.form.show(this.filters);
    this._table.choose(false);
  }

  /** Show the page as it is now; while jobs are selected nothing moves. */
  async load(signal) {
    const selected = () => this._table.selected.size > 0;
    let asked = null;
    let page;
    while (asked !== this.filters && !selected()) {
      asked = this.filters;
      const query = { ...asked, cursor: this._cursor, limit: PAGE_ROWS };
      page = await get([this._source], query, signal);
    }
    if (selected()) return;
    this._table.update(page.jobs);
    fill(
      this._foot,
      pager(this._path, { ...asked, cursor: this._cursor }, page, page.jobs.length),
    );
  }
}

function ordersBar(orders, { selected, filters, done }) {
  const told = h("span", { role: "status" });
  const carry = (each, which) => async () => {
    if (await order({ ...each, which: which() })) done();
  };
  const button = (each, words, which, ...more) =>
    action(`${each.verb}${words}`, carry(each, which), {
      class: [...more, each.danger && "danger"].filter(Boolean).join(" "),
    });
  const some = orders.map((each) => button(each, "", () => ({ ids: selected() })));
  const all = orders.map((each) =>
    button(each, " all that match", () => whichOf(filters(), each), "quiet"),
  );
  return {
    element: h(
      "div",
      { class: "bar-line", role: "group", "aria-label": "Orders" },
      told,
      some,
      h("span", { class: "gap" }),
      all,
    ),
    show(number, { state = [] }) {
      say(told, number ? `${count(number)} selected, the list stands still` : "None selected");
      for (const each of some) each.disabled = number === 0;
      orders.forEach((each, place) => {
        all[place].disabled = state.length > 0 && fittingOf(state, each).length === 0;
      });
    },
  };
}

function fittingOf(states, { fitting = states }) {
  return states.filter((state) => fitting.includes(state));
}

// Of the states that are listed only those can be meant which the order fits.
function whichOf(filters, each) {
  const filter = orderFilter(filters);
  if (filter.state) filter.state = fittingOf(filter.state, each);
  return Object.keys(filter).length ? { filter } : { all: true };
}
