// A strip over time: which of a few words held when.

import { fill, h, svg } from "./dom.js";
import { clock } from "./format.js";

/** `names`: the words that may hold, with what to call them. */
export class Strip {
  constructor({ title, names }) {
    this._names = names;
    this._svg = svg("svg", {
      class: "strip",
      viewBox: "0 0 1000 12",
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    });
    this._text = h("p", { class: "faint" }, "");
    this.element = h(
      "section",
      { class: "stripe", "aria-label": title },
      h("h2", {}, title),
      this._svg,
      this._text,
    );
  }

  /** Show `words[i]` from `times[i]` on; null is unknown. */
  update(times, words) {
    const stretches = stretchesOf(words);
    const width = 1000 / Math.max(words.length, 1);
    fill(
      this._svg,
      stretches.map(({ word, from, to }) =>
        svg("rect", {
          class: `rung ${word ?? "unknown"}`,
          x: from * width,
          width: (to - from) * width,
          height: 12,
        }),
      ),
    );
    const told = stretches.filter(({ word }) => word !== null).slice(-3);
    this._text.textContent = told.length
      ? told
          .map(({ word, from }) => `${this._names[word] ?? word} since ${clock(times[from])}`)
          .join(" · ")
      : "Nothing is known of this time.";
  }
}

function stretchesOf(words) {
  const found = [];
  words.forEach((word, place) => {
    const last = found[found.length - 1];
    if (last && last.word === word) last.to = place + 1;
    else found.push({ word, from: place, to: place + 1 });
  });
  return found;
}
