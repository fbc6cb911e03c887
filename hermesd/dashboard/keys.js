// Keys for the whole dashboard; none of them works while somebody types or a dialog is open.

import { h } from "./dom.js";
import { go } from "./router.js";

const CHORD_MS = 1_500;

/** `pages`: `{letter, word, href}` for `g` and a letter; `submit` opens the submit dialog. */
export function bindKeys({ pages, submit }) {
  const help = () => openHelp(pages);
  const single = { "/": focusFilter, "?": help, n: submit };
  let goingUntil = 0;
  document.getElementById("keys-open").addEventListener("click", help);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || busy(event.target)) return;
    const page = performance.now() < goingUntil && pages.find(({ letter }) => letter === event.key);
    goingUntil = 0;
    if (page) go(page.href);
    else if (event.key === "g") {
      goingUntil = performance.now() + CHORD_MS;
      return;
    } else if (single[event.key]) single[event.key]();
    else return;
    event.preventDefault();
  });
}

function busy(target) {
  if (document.querySelector("dialog[open]")) return true;
  return target.closest("input, textarea, select, [contenteditable]") !== null;
}

function focusFilter() {
  const field =
    document.querySelector("#main [data-filter]") ?? document.querySelector("#main tbody tr");
  field?.focus();
}

function openHelp(pages) {
  const rows = [
    ["/", "Filter what the page lists"],
    ["n", "Submit a new job"],
    ...pages.map(({ letter, word }) => [`g ${letter}`, `Go to ${word}`]),
    ["↑ ↓ Home End", "Move in a table; Enter opens, Space selects"],
    ["← →", "Move along a chart"],
    ["Esc", "Close a dialog"],
    ["?", "This list"],
  ];
  const close = h("button", { type: "submit", class: "primary" }, "Close");
  const dialog = h(
    "dialog",
    { class: "question", "aria-labelledby": "keys-title" },
    h("h2", { id: "keys-title" }, "Keys"),
    h(
      "dl",
      { class: "keys" },
      rows.map(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)]),
    ),
    h("form", { method: "dialog", class: "ends" }, close),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  close.focus();
}
