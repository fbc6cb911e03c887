// The jobs, newest first, with orders for those selected or for all that match.

import { fill, h } from "./dom.js";
import { keepFresh } from "./fresh.js";
import { head } from "./head.js";
import { JobListing } from "./job_listing.js";
import { offerNames } from "./names.js";
import { faultLine } from "./notices.js";

const ORDERS = [
  {
    route: ["jobs", "retry"],
    verb: "Retry",
    did: "retried",
    fitting: ["failed", "scheduled"],
    text: "Failed jobs get a new run, scheduled ones are due now.",
  },
  {
    route: ["jobs", "cancel"],
    verb: "Cancel",
    did: "cancelled, or asked to end where they run",
    fitting: ["scheduled", "queued", "running"],
    text: "Waiting jobs are cancelled at once, running ones are asked to end.",
  },
];
const COLUMNS = [
  ...["id", "type", "state", "attempts", "queue", "priority", "worker", "created", "took", "error"],
];

/** Open the view. */
export function open({ main, route, live, signal }) {
  const fault = faultLine(() => refresh());
  const listing = new JobListing({
    path: "jobs",
    source: "jobs",
    states: true,
    label: "Jobs",
    columns: COLUMNS,
    empty: h(
      "p",
      {},
      "No job fits. Loosen the filters, or submit a job with ",
      h("kbd", {}, "n"),
      ".",
    ),
    orders: ORDERS,
    done: () => refresh(),
  });
  listing.move(route);
  fill(main, head("Jobs", "Newest first."), fault.element, listing.parts);
  offerNames(main, signal);
  const tell = ({ jobs = {} }) => listing.form.count(jobs);
  live.addEventListener("summary", ({ detail }) => tell(detail), { signal });
  if (live.last) tell(live.last);
  const refresh = keepFresh({
    live,
    signal,
    fail: fault.show,
    pauseMs: 1_500,
    wants: ({ changed = [{}] }) => changed.length > 0,
    load: () => listing.load(signal),
  });
  return {
    title: "Jobs",
    move(next) {
      listing.move(next);
      refresh();
    },
  };
}
