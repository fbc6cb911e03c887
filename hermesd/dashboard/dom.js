// Elements made by the DOM's own calls: text is always text, whatever is in it.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. `attributes`: `class`, `data-…`, `aria-…`, properties of the element such as
 * `value`, and `on…` listeners; null and false leave one out, true gives it without a value.
 * `children`: nodes, texts, or lists of them; null and false are left out.
 */
export function h(tag, attributes = {}, ...children) {
  return furnish(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return furnish(document.createElementNS(SVG, tag), attributes, children);
}

/** Put `children` in place of all that `parent` has. */
export function fill(parent, ...children) {
  parent.replaceChildren(...children.flat(Infinity).filter(present));
  return parent;
}

/** Give an element a text, and leave it alone where it has it already. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A link within the dashboard: `path` and the filters that go with it. */
export function link(target, ...children) {
  if (!target.startsWith("#/")) throw new Error("links lead to views of the dashboard only");
  return h("a", { href: target }, ...children);
}

function present(child) {
  return child !== null && child !== undefined && child !== false;
}

function furnish(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter(present));
  return element;
}
