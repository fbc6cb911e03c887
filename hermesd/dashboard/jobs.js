// The jobs: filtered, page by page, and orders for those selected or for all that match.

import { get } from "./api.js";
import { order } from "./bulk.js";
import { fill, h, say } from "./dom.js";
import { count } from "./format.js";
import { keepFresh } from "./fresh.js";
import { head } from "./head.js";
import { FilterForm, orderFilter, readFilters } from "./job_filters.js";
import { PAGE_ROWS, jobTable, pager } from "./job_table.js";
import { offerNames } from "./names.js";
import { action, faultLine } from "./notices.js";
import { go, to } from "./router.js";

const LIVE = ["scheduled", "queued", "running"];
const RETRIABLE = ["failed", "scheduled"];
const ORDERS = {
  retry: {
    verb: "Retry",
    did: "retried",
    fitting: RETRIABLE,
    text: "Failed jobs get a new run, scheduled ones are due now.",
  },
  cancel: {
    verb: "Cancel",
    did: "cancelled, or asked to end where they run",
    fitting: LIVE,
    text: "Waiting jobs are cancelled at once, running ones are asked to end.",
  },
};

/** Open the view. */
export function open({ main, route, live, signal }) {
  let query = queryOf(route);
  const fault = faultLine(() => refresh());
  const form = new FilterForm({
    names: ["type", "queue"],
    more: [
      "worker",
      "label",
      "priority",
      "error_kind",
      "after",
      "before",
      "finished_after",
      "finished_before",
    ],
    states: true,
    onChange: (filters) => go(to("jobs", filters), { replace: true }),
  });
  const foot = h("div", {});
  const bar = selectionBar(
    () => query,
    () => [...table.selected],
    () => {
      table.choose(false);
      refresh();
    },
  );
  const table = jobTable({
    label: "Jobs",
    columns: [
      "id",
      "type",
      "state",
      "attempts",
      "queue",
      "priority",
      "worker",
      "created",
      "took",
      "error",
    ],
    onSelect: (chosen) => bar.show(chosen.size),
    empty: h(
      "p",
      {},
      "No job fits. Loosen the filters, or submit a job with ",
      h("kbd", {}, "n"),
      ".",
    ),
  });
  form.show(query.filters);
  bar.show(0);
  fill(
    main,
    head("Jobs", "Newest first."),
    form.element,
    fault.element,
    bar.element,
    table.element,
    foot,
  );
  offerNames(main, signal);
  live.addEventListener("summary", ({ detail }) => form.count(detail.jobs ?? {}), { signal });
  if (live.last) form.count(live.last.jobs ?? {});
  const refresh = keepFresh({
    live,
    signal,
    fail: fault.show,
    pauseMs: 1_500,
    wants: ({ changed = [{}] }) => changed.length > 0,
    load: async () => {
      if (table.selected.size) return null; // what somebody has chosen must not move away
      const asked = query;
      const page = await get(
        ["jobs"],
        { ...asked.filters, cursor: asked.cursor, limit: PAGE_ROWS },
        signal,
      );
      if (asked !== query) return refresh();
      table.update(page.jobs);
      return fill(
        foot,
        pager("jobs", { ...asked.filters, cursor: asked.cursor }, page, page.jobs.length),
      );
    },
  });
  return {
    title: "Jobs",
    move(next) {
      query = queryOf(next);
      form.show(query.filters);
      table.choose(false);
      refresh();
    },
  };
}

function queryOf({ query }) {
  return { filters: readFilters(query), cursor: query.get("cursor") ?? "" };
}

function selectionBar(queryOfNow, selected, done) {
  const told = h("span", { role: "status" });
  const chosen = Object.keys(ORDERS).map((name) =>
    action(ORDERS[name].verb, async () => {
      const { verb, did, text } = ORDERS[name];
      if (await order({ route: ["jobs", name], which: { ids: selected() }, verb, did, text }))
        done();
    }),
  );
  const all = Object.keys(ORDERS).map((name) =>
    action(
      `${ORDERS[name].verb} all that match`,
      async () => {
        const { verb, did, text } = ORDERS[name];
        if (
          await order({
            route: ["jobs", name],
            which: whichOf(queryOfNow().filters, name),
            verb,
            did,
            text,
          })
        )
          done();
      },
      { class: "quiet" },
    ),
  );
  return {
    element: h(
      "div",
      { class: "bar-line", role: "group", "aria-label": "Orders" },
      told,
      chosen,
      h("span", { class: "gap" }),
      all,
    ),
    show(number) {
      say(told, number ? `${count(number)} selected, the list stands still` : "None selected");
      for (const button of chosen) button.disabled = number === 0;
      Object.keys(ORDERS).forEach((name, place) => {
        const states = queryOfNow().filters.state ?? [];
        all[place].disabled =
          states.length > 0 && !states.some((state) => ORDERS[name].fitting.includes(state));
      });
    },
  };
}

// Of the states that are listed only those can be meant which the order fits.
function whichOf(filters, name) {
  const fitting = (filters.state ?? []).filter((state) => ORDERS[name].fitting.includes(state));
  const filter = orderFilter({ ...filters, state: fitting });
  if (!fitting.length) delete filter.state;
  return Object.keys(filter).length ? { filter } : { all: true };
}
