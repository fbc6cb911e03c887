// The dead-letter queue: failed jobs by what they have in common, run again or deleted.

import { get } from "./api.js";
import { order } from "./bulk.js";
import { fill, h, link, say } from "./dom.js";
import { ago, at, count } from "./format.js";
import { keepFresh } from "./fresh.js";
import { head, part } from "./head.js";
import { JobListing } from "./job_listing.js";
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
  const fault = faultLine(() => refresh());
  const cut = h("p", { class: "faint" });
  const groups = groupTable(() => refresh());
  const listing = new JobListing({
    path: "letters",
    source: "dlq",
    states: false,
    label: "Failed jobs",
    columns: ["id", "type", "attempts", "queue", "worker", "failed", "error"],
    empty: h("p", {}, "No dead letter fits. A job comes here when its last attempt has failed."),
    orders: [REQUEUE, PURGE],
    done: () => refresh(),
  });
  const move = (to) => {
    listing.move(to);
    showGroup(listing.note, listing.filters);
  };
  move(route);
  fill(
    main,
    head("Dead letters", "Jobs that have failed for good, until somebody decides."),
    fault.element,
    part("By type and error", cut, groups.element),
    part("Jobs", listing.parts),
  );
  offerNames(main, signal);
  const refresh = keepFresh({
    live,
    signal,
    fail: fault.show,
    pauseMs: 2_000,
    wants: ({ changed = [{}] }) => changed.length > 0,
    load: async () => {
      await listing.load(signal);
      const found = await get(["dlq", "groups"], {}, signal);
      groups.update(found.groups);
      say(cut, cutText(found));
    },
  });
  return {
    title: "Dead letters",
    move(next) {
      move(next);
      refresh();
    },
  };
}

function cutText({ jobs, complete, more_groups }) {
  const told = [];
  if (!complete) told.push(`Of the newest ${count(jobs)} only.`);
  if (more_groups) told.push(`${count(more_groups)} smaller groups are not shown.`);
  return told.join(" ");
}

function showGroup(place, filters) {
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

function groupHash(group) {
  return to("letters", groupFilter(group));
}
