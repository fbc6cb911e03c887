// The shell: navigation, the view that the hash names, the state of the connection, keys.

import { icon } from "./icons.js";
import { fill, h, say } from "./dom.js";
import { agoText, clock, count, keepTimes } from "./format.js";
import { bindKeys } from "./keys.js";
import { Live } from "./live.js";
import { notice } from "./notices.js";
import { read } from "./router.js";
import * as events from "./events.js";
import * as job from "./job.js";
import * as jobs from "./jobs.js";
import * as letters from "./letters.js";
import * as overview from "./overview.js";
import * as queues from "./queues.js";
import * as schedules from "./schedules.js";
import { openSubmit } from "./submit.js";
import * as types from "./types.js";
import * as workers from "./workers.js";

// name, the word in the navigation, the letter after `g`, the view; the first ones stay visible on
// narrow screens.
const PAGES = [
  ["overview", "Overview", "o", overview],
  ["jobs", "Jobs", "j", jobs],
  ["workers", "Workers", "w", workers],
  ["letters", "Dead letters", "d", letters],
  ["queues", "Queues", "q", queues],
  ["schedules", "Schedules", "s", schedules],
  ["types", "Types", "t", types],
  ["events", "Events", "e", events],
];
const ALWAYS = 4;

const live = new Live();
const links = new Map();
let current = null; // {name, place, page, controller}

function viewOf({ parts }) {
  if (parts.length === 0) return ["overview", overview];
  if (parts[0] === "jobs" && parts.length === 2) return ["jobs", job];
  const found = PAGES.find(([name]) => name === parts[0]);
  return found && parts.length <= 2 ? [found[0], found[3]] : ["", null];
}

function show() {
  const route = read();
  const [name, view] = viewOf(route);
  const place = `${name}/${route.parts.slice(1).join("/")}`;
  document.getElementById("nav").classList.remove("open");
  mark(name);
  if (current?.place === place && current.page.move) {
    current.page.move(route);
    return;
  }
  const first = current === null;
  current?.controller.abort();
  const controller = new AbortController();
  const main = document.getElementById("main");
  fill(main);
  current = { place, controller, page: {} };
  current.page = view ? view.open({ main, route, live, signal: controller.signal }) : nowhere(main);
  document.title = `${current.page.title} · hermesd`;
  if (!first) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
}

function nowhere(main) {
  fill(
    main,
    h("h1", {}, "There is no such page"),
    h(
      "p",
      {},
      "The address names no view of this dashboard. ",
      h("a", { href: "#/" }, "Go to the overview"),
    ),
  );
  return { title: "No such page" };
}

function mark(name) {
  for (const [each, anchor] of links) {
    if (each === name) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
}

function buildNav() {
  const nav = document.getElementById("nav");
  const items = PAGES.map(([name, word, letter], place) => {
    const number = h("span", { class: "tally", hidden: true });
    const href = name === "overview" ? "#/" : `#/${name}`;
    const anchor = h(
      "a",
      { href, "aria-keyshortcuts": `g ${letter}` },
      icon(name),
      h("span", {}, word),
      number,
    );
    links.set(name, anchor);
    return h("li", { class: place < ALWAYS ? null : "rest" }, anchor);
  });
  const more = h(
    "button",
    { type: "button", "aria-expanded": "false" },
    icon("more"),
    h("span", {}, "More"),
  );
  more.addEventListener("click", () => {
    more.setAttribute("aria-expanded", String(nav.classList.toggle("open")));
  });
  nav.append(h("ul", {}, items, h("li", { class: "more" }, more)));
}

function tally(name, number) {
  const element = links.get(name).querySelector(".tally");
  element.hidden = !number;
  say(element, count(number));
}

function showSummary({ detail }) {
  tally("letters", detail.jobs?.failed ?? 0);
  say(document.getElementById("pulse-text"), `Live · ${detail.api}`);
  document.getElementById("pulse").title = `hermesd ${detail.version}, api ${detail.api}`;
}

function showStatus() {
  const pulse = document.getElementById("pulse");
  pulse.classList.toggle("fresh", live.fresh);
  const banner = document.getElementById("stale");
  const lost = !live.fresh && (live.heardAt !== null || performance.now() > 5_000);
  if (lost) {
    say(document.getElementById("pulse-text"), "Not connected");
    banner.hidden = false;
    if (!banner.childNodes.length) {
      const again = h("button", { type: "button" }, "Try now");
      again.addEventListener("click", () => live.retry());
      const since = h("span", { "aria-live": "off", class: "since" });
      banner.append(
        h("span", {}, h("b", {}, "Stale. "), "The api does not answer; trying again. "),
        since,
        again,
      );
    }
    const since = banner.querySelector(".since");
    if (live.heardAt !== null) {
      say(since, `What you see is of ${clock(live.heardAt)}, ${agoText(live.heardAt)}.`);
    }
  } else if (!banner.hidden) {
    banner.hidden = true;
    fill(banner);
    if (live.fresh) notice("Connected again: everything is up to date.");
  }
}

buildNav();
keepTimes();
live.addEventListener("summary", showSummary);
live.addEventListener("status", showStatus);
addEventListener("hashchange", show);
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the hash names the view
  document.getElementById("main").focus();
});
document.getElementById("submit-open").addEventListener("click", () => openSubmit());
bindKeys({
  pages: PAGES.map(([name, word, letter]) => ({
    letter,
    word,
    href: name === "overview" ? "#/" : `#/${name}`,
  })),
  submit: () => openSubmit(),
});
live.start();
show();
