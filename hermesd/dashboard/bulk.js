// One order for many jobs: counted first, asked about, then done piece by piece with its progress.

import { post } from "./api.js";
import { h, say } from "./dom.js";
import { count, plural } from "./format.js";
import { confirmed, notice } from "./notices.js";

const HELD_BACK_MS = 1_000;

/**
 * Carry an order out, if it is wanted; resolves to whether something was done.
 *
 * `route`: where it is sent, as `["jobs", "retry"]`; `which`: `{ids}`, `{filter}` or `{all: true}`.
 * `verb` as in "Retry 5 jobs?", `did` as in "retried"; `danger` must be typed to go on.
 */
export async function order({ route, which, verb, did, text, danger = false }) {
  const counted = await countOf(route, which);
  if (counted === 0) {
    notice("No job fits that could be changed so: nothing was done.");
    return false;
  }
  const jobs = plural(counted, "job");
  const title = `${verb} ${jobs}?`;
  if (
    !(await confirmed({
      title,
      text,
      verb: `${verb} ${jobs}`,
      danger,
      phrase: danger ? "purge" : "",
    }))
  )
    return false;
  const done = await withProgress(title, counted, (step, signal) =>
    carryOut(route, which, step, signal),
  );
  const skipped = done.skipped ? `, ${count(done.skipped)} had moved on meanwhile` : "";
  notice(
    `${count(done.changed)} ${did}${skipped}${done.stopped ? "; stopped, the others are as they were" : ""}.`,
  );
  return true;
}

async function countOf(route, which) {
  let matched = 0;
  let cursor = null;
  do {
    const answer = await post(route, body(which, cursor, true));
    matched += answer.matched;
    cursor = answer.cursor ?? null;
  } while (cursor !== null);
  return matched;
}

async function carryOut(route, which, step, signal) {
  const done = { changed: 0, skipped: 0, stopped: false };
  let cursor = null;
  do {
    const answer = await post(route, body(which, cursor, false));
    done.changed += answer.changed ?? answer.requeued ?? answer.purged ?? 0;
    done.skipped += answer.skipped ?? 0;
    cursor = answer.cursor ?? null;
    step(done.changed + done.skipped, answer.held_back === true);
    if (answer.held_back && cursor !== null) await pause(HELD_BACK_MS);
    done.stopped = signal.aborted && cursor !== null;
  } while (cursor !== null && !done.stopped);
  return done;
}

function body(which, cursor, dry) {
  return { ...which, ...(cursor === null ? {} : { cursor }), ...(dry ? { dry_run: true } : {}) };
}

async function withProgress(title, most, act) {
  const bar = h("progress", { max: most, value: 0, "aria-label": title });
  const told = h("p", { role: "status" }, `0 of ${count(most)}`);
  const stop = h("button", { type: "button" }, "Stop after this piece");
  const dialog = h(
    "dialog",
    { class: "question" },
    h("h2", {}, title.replace("?", "")),
    bar,
    told,
    h("div", { class: "ends" }, stop),
  );
  const controller = new AbortController();
  const end = () => controller.abort();
  stop.addEventListener("click", end);
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault(); // closed when it has stopped
    end();
  });
  document.body.append(dialog);
  dialog.showModal();
  const step = (done, heldBack) => {
    bar.value = Math.min(done, most);
    say(
      told,
      `${count(done)} of ${count(most)}${heldBack ? ": waiting, since many jobs are queued already" : ""}`,
    );
  };
  try {
    return await act(step, controller.signal);
  } finally {
    dialog.close();
    dialog.remove();
  }
}

function pause(milliseconds) {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}
