// What views have in common: their head, the bar of a window of time, links between pages.

import { h } from "./dom.js";
import { WINDOWS } from "./badges.js";
import { to } from "./router.js";

/** The top of a view: its name, a sentence, and what can be done there. */
export function head(title, about, ...actions) {
  return h(
    "header",
    { class: "head" },
    h("div", {}, h("h1", {}, title), about && h("p", {}, about)),
    h("div", { class: "acts" }, actions),
  );
}

/** A titled part of a view. */
export function part(title, ...content) {
  return h("section", { class: "part" }, h("h2", {}, title), content);
}

/** Which window of time is shown, as links, so that each has an address. */
export function windowBar(path, chosen) {
  return h(
    "div",
    { class: "segments", role: "group", "aria-label": "Window of time" },
    WINDOWS.map(([seconds, word]) =>
      h(
        "a",
        { href: to(path, { window: seconds }), "aria-current": seconds === chosen ? "true" : null },
        word,
      ),
    ),
  );
}

/** The window that a route asks for, in seconds. */
export function windowOf(query) {
  const asked = Number(query.get("window"));
  return WINDOWS.some(([seconds]) => seconds === asked) ? asked : WINDOWS[0][0];
}

/** Names beside values: `[[name, node], …]`; null values are left out. */
export function facts(pairs) {
  return h(
    "dl",
    { class: "facts" },
    pairs
      .filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

/** JSON for people, whole numbers exact; long texts are cut until somebody wants them all. */
export function jsonBlock(value, label) {
  return textBlock(value === undefined ? "" : JSON.stringify(value, null, 2), label);
}

const SHOWN_CHARACTERS = 8_000;

/** A text as it is, in a box that scrolls. */
export function textBlock(text, label) {
  const box = h("pre", { class: "code", tabindex: "0", role: "region", "aria-label": label });
  box.textContent = text.slice(0, SHOWN_CHARACTERS);
  if (text.length <= SHOWN_CHARACTERS) return box;
  const all = h("button", { type: "button" }, `Show all ${text.length} characters`);
  all.addEventListener("click", () => {
    box.textContent = text;
    all.remove();
  });
  return h("div", {}, box, all);
}
