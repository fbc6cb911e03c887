// What the dashboard says back: short notices, questions before what cannot be undone, faults.

import { Problem } from "./api.js";
import { fill, h } from "./dom.js";

const SHOWN_MS = 6_000;
const MOST = 4;

/** A line at the edge of the screen, read out by screen readers; `kind` is `good` or `bad`. */
export function notice(text, kind = "good") {
  const box = document.getElementById("notices");
  const line = h("div", { class: `notice ${kind}` }, text);
  while (box.children.length >= MOST) box.firstChild.remove();
  box.append(line);
  setTimeout(() => line.remove(), kind === "bad" ? SHOWN_MS * 2 : SHOWN_MS);
}

/** Do what a button says, once at a time; tell how it went by what `act` returns, or its fault. */
export async function doing(button, act) {
  if (button.disabled) return;
  button.disabled = true;
  try {
    const told = await act();
    if (told) notice(told);
  } catch (error) {
    if (!(error instanceof Problem)) console.error(error);
    notice(error.message, "bad");
  } finally {
    button.disabled = false;
  }
}

/** A button that does something; see `doing`. */
export function action(label, act, attributes = {}) {
  const button = h("button", { type: "button", ...attributes }, label);
  button.addEventListener("click", () => doing(button, act));
  return button;
}

/**
 * Ask before doing; resolves to whether it is wanted. `phrase`: what must be typed first, for what
 * cannot be undone. `ask`: a label of a line of text, whose value is then resolved to instead.
 */
export function confirmed({ title, text, verb, danger = false, phrase = "", ask = "" }) {
  return new Promise((resolve) => {
    const typed = h("input", { type: "text", autocomplete: "off", spellcheck: "false" });
    const yes = h("button", { type: "submit", class: danger ? "danger" : "primary" }, verb);
    const no = h("button", { type: "button" }, "Keep as it is");
    const dialog = h(
      "dialog",
      { class: "question", "aria-labelledby": "question-title" },
      h(
        "form",
        { method: "dialog" },
        h("h2", { id: "question-title" }, title),
        h("p", {}, text),
        phrase && h("label", {}, `Type ${phrase} to go on`, typed),
        ask && h("label", {}, ask, typed),
        h("div", { class: "ends" }, no, yes),
      ),
    );
    let wanted = false;
    const check = () => (yes.disabled = phrase !== "" && typed.value !== phrase);
    typed.addEventListener("input", check);
    no.addEventListener("click", () => dialog.close());
    dialog.querySelector("form").addEventListener("submit", () => (wanted = !yes.disabled));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(ask ? wanted && typed.value : wanted);
    });
    check();
    document.body.append(dialog);
    dialog.showModal();
    (phrase || ask ? typed : no).focus();
  });
}

/** Where a page says what it could not load, and lets people try again; hidden while all is well. */
export function faultLine(retry) {
  const element = h("div", { class: "fault", role: "alert", hidden: true });
  return {
    element,
    show(error) {
      element.hidden = error === null;
      if (error === null) return fill(element);
      if (element.dataset.told === error.message && element.childNodes.length) return element;
      element.dataset.told = error.message;
      const again = h("button", { type: "button" }, "Try again");
      again.addEventListener("click", () => retry());
      return fill(element, h("span", {}, `Not up to date: ${error.message}`), again);
    },
  };
}
