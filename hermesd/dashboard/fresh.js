// Keeping what a page shows true: loads again upon news, at most so often, never two at a time.

import { Problem } from "./api.js";

const IDLE_MS = 15_000;

/**
 * Load once and then again and again, until `signal` says that the page was left.
 *
 * `load` gets the signal; `wants(summary)` says whether a summary is news (default: each is);
 * `pauseMs` is the least time between two loads. What goes wrong is told to `fail`, and null when it
 * goes well again. Returns `now()`, which loads at once.
 */
export function keepFresh({ live, signal, load, fail, wants = () => true, pauseMs = 1_000 }) {
  let begunAt = -Infinity;
  let busy = false;
  let again = false;
  let timer = null;

  async function now() {
    clearTimeout(timer);
    timer = null;
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    again = false;
    begunAt = performance.now();
    try {
      await load(signal);
      if (!signal.aborted) fail(null);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Problem)) console.error(error);
      fail(error);
    } finally {
      busy = false;
    }
    if (again) soon();
  }

  function soon() {
    if (timer !== null || signal.aborted) return;
    timer = setTimeout(now, Math.max(0, begunAt + pauseMs - performance.now()));
  }

  const news = (event) => {
    if (document.hidden) return;
    if (wants(event.detail)) soon();
  };
  const recovered = () => {
    if (live.fresh) soon();
  };
  live.addEventListener("summary", news, { signal });
  live.addEventListener("status", recovered, { signal });
  document.addEventListener("visibilitychange", () => document.hidden || soon(), { signal });
  // What no news tells of is seen all the same.
  const idle = setInterval(() => {
    if (!document.hidden && performance.now() - begunAt > IDLE_MS) soon();
  }, 1_000);
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    clearInterval(idle);
  });
  now();
  return now;
}
