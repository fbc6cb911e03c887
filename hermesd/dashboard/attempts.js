// The attempts of a job on one line of time: when each ran, where, and how it ended.

import { RUNGS, badge, workerLink } from "./badges.js";
import { fill, h, svg } from "./dom.js";
import { at, moment, span } from "./format.js";
import { textBlock } from "./head.js";

const LENGTH = 1000;

/** A list of attempts with a bar each, drawn from the job's creation to its end or to now. */
export class AttemptLine {
  constructor() {
    this.element = h("ol", { class: "attempts" });
    this._told = "";
    this._running = [];
  }

  /** Show the attempts of a job; of those without times only how they ended is known. */
  update(job, attempts) {
    const told = JSON.stringify([attempts, job.state, job.finished_at]);
    if (told === this._told) return;
    this._told = told;
    this._attempts = attempts;
    this._running = [];
    if (!attempts.length) {
      fill(this.element, h("li", { class: "faint" }, "None has begun yet."));
      return;
    }
    fill(
      this.element,
      attempts.map((attempt) => this._item(attempt)),
    );
    this.tick(job);
  }

  /** Let the bars reach to now, where an attempt runs. */
  tick(job) {
    if (!this._attempts?.length || (this._drawn === this._told && !this._running.length)) return;
    this._drawn = this._told;
    const first = moment(job.created_at);
    const last = job.finished_at
      ? moment(job.finished_at)
      : Math.max(Date.now() / 1000, first + 0.001);
    const whole = Math.max(last - first, 0.001);
    this._attempts.forEach(({ started_at, ended_at }, place) => {
      const bar = this.element.children[place].querySelector("rect.ran");
      if (!bar) return;
      const from = (moment(started_at) - first) / whole;
      const to = ((ended_at ? moment(ended_at) : last) - first) / whole;
      bar.setAttribute("x", Math.max(Math.min(from, 1) * LENGTH, 0));
      bar.setAttribute("width", Math.max((to - from) * LENGTH, 6));
    });
    for (const { started_at, took } of this._running)
      took.textContent = span(last - moment(started_at));
  }

  _item(attempt) {
    const { run, attempt: number, worker_id, rung, started_at, ended_at, outcome, error } = attempt;
    const took = h(
      "span",
      { class: "took" },
      started_at && ended_at ? span(moment(ended_at) - moment(started_at)) : "",
    );
    if (started_at && !ended_at) this._running.push({ started_at, took });
    return h(
      "li",
      {},
      h(
        "div",
        { class: "line" },
        h("b", {}, run > 1 ? `Run ${run}, attempt ${number}` : `Attempt ${number}`),
        badge(outcome),
        took,
        h("span", {}, "on ", workerLink(worker_id), rung ? ` by ${RUNGS[rung] ?? rung}` : ""),
        started_at && h("span", { class: "faint" }, at(started_at)),
      ),
      started_at && bar(outcome),
      error && h("p", { class: "message" }, `${error.kind}: ${error.message}`),
      error?.traceback &&
        h("details", {}, h("summary", {}, "Traceback"), textBlock(error.traceback, "Traceback")),
    );
  }
}

function bar(outcome) {
  return svg(
    "svg",
    {
      class: "span",
      viewBox: `0 0 ${LENGTH} 8`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    },
    svg("rect", { class: "rail", width: LENGTH, height: 8 }),
    svg("rect", { class: `ran ${outcome}`, height: 8 }),
  );
}
