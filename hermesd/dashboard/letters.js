// The dead-letter queue: failed jobs by what they have in common, run again or deleted.

import { get } from "./api.js";
import { order } from "./bulk.js";
import { fill, h, link, say } from "./dom.js";
import { ago, at, count } from "./format.js";
import { keepFresh } from "./fresh.js";
import { head, part } from "./head.js";
import { FilterForm, orderFilter, readFilters } from "./job_filters.js";
import { PAGE_ROWS, jobTable, pager } from "./job_table.js";
import { offerNames } from "./names.js";
import { action, faultLine } from "./notices.js";
import { go, to } from "./router.js";
import { Table } from "./table.js";

const REQUEUE = {
  route: ["dlq", "requeue"],
  verb: "Requeue",
  did: "requeued",
  text: "Each gets a new run with all of its attempts.",
};
const PURGE = {
  route: ["dlq", "purge"],
  verb: "Purge",
  did: "deleted",
  text: "They are deleted for good, with their logs and their history.",
  danger: true,
};

/** Open the view. */
export function open({ main, route, live, signal }) {
  let query = queryOf(route);
  const fault = faultLine(() => refresh());
  const foot = h("div", {});
  const cut = h("p", { class: "faint" });
  const chosenGroup = h("div", {});
  const form = new FilterForm({
    names: ["type", "queue"],
    more: ["worker", "label", "error_kind", "after", "before", "finished_after", "finished_before"],
    states: false,
    onChange: (filters) => go(to("letters", filters), { replace: true }),
  });
  const groups = groupTable(() => refresh());
  const table = jobTable({
    label: "Failed jobs",
    columns: ["id", "type", "attempts", "queue", "worker", "failed", "error"],
    onSelect: (chosen) => bar.show(chosen.size),
    empty: h("p", {}, "No dead letter fits. A job comes here when its last attempt has failed."),
  });
  const bar = ordersBar(
    () => query,
    () => [...table.selected],
    () => {
      table.choose(false);
      refresh();
    },
  );
  form.show(query.filters);
  bar.show(0);
  fill(
    main,
    head("Dead letters", "Jobs that have failed for good, until somebody decides."),
    fault.element,
    part("By type and error", cut, groups.element),
    part("Jobs", form.element, chosenGroup, bar.element, table.element, foot),
  );
  offerNames(main, signal);
  showGroup(chosenGroup, query);
  const showJobs = async () => {
    const asked = query;
    const page = await get(
      ["dlq"],
      { ...asked.filters, cursor: asked.cursor, limit: PAGE_ROWS },
      signal,
    );
    if (asked !== query) return refresh();
    table.update(page.jobs);
    return fill(
      foot,
      pager("letters", { ...asked.filters, cursor: asked.cursor }, page, page.jobs.length),
    );
  };
  const refresh = keepFresh({
    live,
    signal,
    fail: fault.show,
    pauseMs: 2_000,
    wants: ({ changed = [{}] }) => changed.length > 0,
    load: async () => {
      if (!table.selected.size) await showJobs(); // what somebody has chosen must not move away
      const found = await get(["dlq", "groups"], {}, signal);
      groups.update(found.groups);
      return say(cut, cutText(found));
    },
  });
  return {
    title: "Dead letters",
    move(next) {
      query = queryOf(next);
      form.show(query.filters);
      table.choose(false);
      showGroup(chosenGroup, query);
      refresh();
    },
  };
}

function queryOf({ query }) {
  const { state, ...filters } = readFilters(query); // of one state they all are
  return { filters, cursor: query.get("cursor") ?? "" };
}

function cutText({ jobs, complete, more_groups }) {
  const told = [];
  if (!complete) told.push(`Of the newest ${count(jobs)} only.`);
  if (more_groups) told.push(`${count(more_groups)} smaller groups are not shown.`);
  return told.join(" ");
}

function showGroup(place, { filters }) {
  if (filters.error === undefined) return fill(place);
  const { error, ...others } = filters;
  return fill(
    place,
    h(
      "p",
      { class: "group" },
      "Only the group ",
      h("code", {}, error || "(no message)"),
      " ",
      link(to("letters", others), "Show all"),
    ),
  );
}

function groupFilter({ type, error_kind, error }) {
  return { type, error_kind, error };
}

function groupTable(done) {
  const carry = (what, group) => async () => {
    if (await order({ ...what, which: { filter: groupFilter(group) } })) done();
  };
  return new Table({
    label: "Groups of dead letters",
    key: ({ type, error_kind, error }) => JSON.stringify([type, error_kind, error]),
    onOpen: (group) => go(groupHash(group)),
    empty: "There are no dead letters: every job that has ended succeeded or was cancelled.",
    columns: [
      { label: "Jobs", value: ({ count: jobs }) => count(jobs), kind: "number" },
      { label: "Type", value: ({ type }) => type, kind: "main" },
      {
        label: "Error",
        value: ({ error_kind, error }) => `${error_kind} ${error}`,
        node: (group) =>
          h(
            "a",
            { href: groupHash(group) },
            h("b", {}, group.error_kind),
            group.error ? `: ${group.error}` : "",
          ),
        kind: "text",
      },
      { label: "Newest", value: ({ newest }) => newest, node: ({ newest }) => ago(newest) },
      {
        label: "Oldest",
        value: ({ oldest }) => oldest,
        node: ({ oldest }) => at(oldest),
        kind: "wide",
      },
      {
        label: "",
        value: () => "orders",
        node: (group) =>
          h(
            "span",
            { class: "acts" },
            action("Requeue", carry(REQUEUE, group)),
            action("Purge", carry(PURGE, group), { class: "quiet danger" }),
          ),
        kind: "ends",
      },
    ],
  });
}

// An empty text is left out of addresses, yet jobs without a message are a group like any other.
function groupHash(group) {
  const hash = to("letters", groupFilter(group));
  return group.error === "" ? `${hash}&error=` : hash;
}

function ordersBar(queryOfNow, selected, done) {
  const told = h("span", { role: "status" });
  const carry = (what, which) => async () => {
    if (await order({ ...what, which: which() })) done();
  };
  const chosen = () => ({ ids: selected() });
  const all = () => {
    const filter = orderFilter(queryOfNow().filters);
    return Object.keys(filter).length ? { filter } : { all: true };
  };
  const some = [
    action("Requeue", carry(REQUEUE, chosen)),
    action("Purge", carry(PURGE, chosen), { class: "danger" }),
  ];
  return {
    element: h(
      "div",
      { class: "bar-line", role: "group", "aria-label": "Orders" },
      told,
      some,
      h("span", { class: "gap" }),
      action("Requeue all that match", carry(REQUEUE, all), { class: "quiet" }),
      action("Purge all that match", carry(PURGE, all), { class: "quiet danger" }),
    ),
    show(number) {
      say(told, number ? `${count(number)} selected, the list stands still` : "None selected");
      for (const button of some) button.disabled = number === 0;
    },
  };
}
