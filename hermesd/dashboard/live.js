// What the daemon tells by itself: one stream of summaries, followed for as long as the page is open.
//
// The stream is lost now and then: it is opened again with growing pauses, and who shows what it
// said is told that this is stale. A daemon that is there speaks every two seconds at the latest.

import { address } from "./api.js";

const SILENCE_MS = 6_000;
const HIDDEN_MS = 15_000;
const PAUSES_MS = [500, 1_000, 2_000, 4_000];

/** Dispatches `summary` with each message as `detail`, and `status` when `fresh` has changed. */
export class Live extends EventTarget {
  constructor() {
    super();
    this.fresh = false;
    this.heardAt = null; // seconds since the epoch
    this.last = null;
    this._source = null; // none while nobody has seen the page for a while
    this._openedAt = 0; // when it was opened again since
    this._failures = 0;
    this._timer = null;
    this._resting = null;
  }

  /** Follow the stream from now on. */
  start() {
    this._open();
    setInterval(() => this._look(), 1_000);
    document.addEventListener("visibilitychange", () => this._onVisibility());
  }

  /** Try now what would be tried later. */
  retry() {
    this._failures = 0;
    this._open();
  }

  // A page that nobody sees lets its stream go: a browser has only so many connections to a host.
  _onVisibility() {
    clearTimeout(this._resting);
    this._resting = null;
    if (document.hidden) {
      this._resting = setTimeout(() => {
        clearTimeout(this._timer);
        this._source.close();
        this._source = null;
      }, HIDDEN_MS);
    } else if (this._source === null) {
      this._openedAt = Date.now();
      this._open();
    }
  }

  _open() {
    clearTimeout(this._timer);
    if (this._source) this._source.close();
    const source = new EventSource(address(["events", "summary"]));
    source.addEventListener("summary", ({ data }) => this._hear(data));
    source.onerror = () => this._fail(source);
    this._source = source;
  }

  _hear(text) {
    let summary;
    try {
      summary = JSON.parse(text);
    } catch {
      return; // the next one may be readable
    }
    this._failures = 0;
    this.heardAt = Date.now() / 1000;
    this.last = summary;
    this._become(true);
    this.dispatchEvent(new CustomEvent("summary", { detail: summary }));
  }

  _fail(source) {
    if (source !== this._source) return;
    // Not left to EventSource: it gives up for good at a 503, which a proxy or a full api answers.
    source.close();
    this._become(false);
    const pause = PAUSES_MS[Math.min(this._failures, PAUSES_MS.length - 1)];
    this._failures += 1;
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this._open(), pause);
  }

  _look() {
    if (this._source === null) return;
    if (this.fresh && Date.now() - Math.max(this.heardAt * 1000, this._openedAt) > SILENCE_MS) {
      this._become(false);
      this._open();
    } else if (!this.fresh) {
      this.dispatchEvent(new Event("status")); // how long ago it was is told anew
    }
  }

  _become(fresh) {
    if (this.fresh === fresh && this.heardAt !== null) return;
    this.fresh = fresh;
    this.dispatchEvent(new Event("status"));
  }
}
