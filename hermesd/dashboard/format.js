// Numbers, spans and times for people: times in the viewer's zone, with the exact UTC in the title.

import { h } from "./dom.js";

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const TENTHS = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const clockFormat = new Intl.DateTimeFormat(undefined, CLOCK);
const shortFormat = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});
const DAY = { month: "short", day: "numeric" };
const dayFormat = new Intl.DateTimeFormat(undefined, { ...DAY, ...CLOCK });
const yearFormat = new Intl.DateTimeFormat(undefined, { ...DAY, ...CLOCK, year: "numeric" });
const DASH = "–";

/** A count, with separators. */
export function count(number) {
  return number === null || number === undefined ? DASH : WHOLE.format(number);
}

/** "1 host", "3 hosts". */
export function plural(number, word) {
  return `${count(number)} ${word}${number === 1 ? "" : "s"}`;
}

/** A rate or share with at most three digits that matter. */
export function decimal(number) {
  if (number === null || number === undefined) return DASH;
  if (Math.abs(number) >= 100) return WHOLE.format(number);
  return Math.abs(number) >= 1 || number === 0 ? TENTHS.format(number) : number.toPrecision(2);
}

/** A large number in few characters: 12.3k. */
export function compact(number) {
  for (const [size, unit] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ]) {
    if (Math.abs(number) >= size) return TENTHS.format(number / size) + unit;
  }
  return decimal(number);
}

/** A span of seconds: 350 µs, 12 ms, 3.4 s, 5 min 3 s, 2 h 4 min, 3 d 1 h. */
export function span(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return DASH;
  if (seconds < 0) return `-${span(-seconds)}`;
  if (seconds === 0) return "0 s";
  if (seconds < 0.001) return `${WHOLE.format(seconds * 1e6)} µs`;
  if (seconds < 0.9995) return `${decimal(Number((seconds * 1000).toPrecision(3)))} ms`;
  if (seconds < 60) return `${TENTHS.format(seconds)} s`;
  return long(Math.round(seconds));
}

function long(seconds) {
  const parts = [
    ["d", 86400],
    ["h", 3600],
    ["min", 60],
    ["s", 1],
  ];
  const first = parts.findIndex(([, size]) => seconds >= size);
  const told = [];
  let left = seconds;
  for (const [unit, size] of parts.slice(first, first + 2)) {
    const whole = Math.floor(left / size);
    left -= whole * size;
    if (whole) told.push(`${whole} ${unit}`);
  }
  return told.join(" ");
}

/** A span in one unit, as at an axis: 12 ms, 1.5 min, 2 h. */
export function shortSpan(seconds) {
  for (const [unit, size] of [
    ["d", 86400],
    ["h", 3600],
    ["min", 60],
  ]) {
    if (seconds >= size) return `${decimal(seconds / size)} ${unit}`;
  }
  return span(seconds);
}

/** Bytes: 512 B, 49.1 MB. */
export function bytes(number) {
  if (number === null || number === undefined) return DASH;
  for (const [size, unit] of [
    [2 ** 30, "GB"],
    [2 ** 20, "MB"],
    [2 ** 10, "kB"],
  ]) {
    if (number >= size) return `${TENTHS.format(number / size)} ${unit}`;
  }
  return `${number} B`;
}

/** Seconds since the epoch, of an RFC 3339 text or of such seconds; null of null. */
export function moment(value) {
  if (value === null || value === undefined) return null;
  return typeof value === "number" ? value : Date.parse(value) / 1000;
}

/** A time of the axis of a chart, shorter where seconds say nothing. */
export function clock(seconds, short = false) {
  return (short ? shortFormat : clockFormat).format(seconds * 1000);
}

/** A time in the viewer's zone: the time of day alone today, with the year in other years. */
export function fullTime(seconds) {
  const [time, now] = [new Date(seconds * 1000), new Date()];
  if (time.toDateString() === now.toDateString()) return clockFormat.format(time);
  return (time.getFullYear() === now.getFullYear() ? dayFormat : yearFormat).format(time);
}

/** A `time` element that reads "12 s ago", kept true by `keepTimes`; exact UTC in its title. */
export function ago(value) {
  return timed(value, "ago");
}

/** A `time` element with date and time of day in the viewer's zone; exact UTC in its title. */
export function at(value) {
  return timed(value, "at");
}

/** A time as a field for date and time takes it, in the viewer's zone; empty where it is none. */
export function localOf(value) {
  const time = new Date(value ?? NaN);
  if (Number.isNaN(time.getTime())) return "";
  return new Date(time - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

/** What such a field holds in UTC, as the api takes it; null where that is no time. */
export function isoOf(text) {
  const time = new Date(text);
  const year = time.getUTCFullYear();
  return year >= 1 && year <= 9999 ? time.toISOString() : null;
}

function timed(value, style) {
  const seconds = moment(value);
  if (seconds === null) return h("span", { class: "faint" }, DASH);
  const exact = typeof value === "string" ? value : new Date(seconds * 1000).toISOString();
  const element = h("time", {
    datetime: exact,
    title: `${exact.replace("T", " ").replace("Z", "")} UTC`,
  });
  element.textContent = style === "ago" ? agoText(seconds) : fullTime(seconds);
  if (style === "ago") element.dataset.ago = seconds;
  return element;
}

/** "12 s ago", "in 3 min": whole seconds, since it is looked at once a second. */
export function agoText(seconds, now = Date.now() / 1000) {
  const off = Math.round(now - seconds);
  if (off === 0 || (off < 0 && off > -3)) return "now"; // clocks differ a little
  return off > 0 ? `${span(off)} ago` : `in ${span(-off)}`;
}

/** Keep what `ago` made true, once a second while somebody can see it. */
export function keepTimes() {
  setInterval(() => {
    if (document.hidden) return;
    const now = Date.now() / 1000;
    for (const element of document.querySelectorAll("time[data-ago]")) {
      const text = agoText(Number(element.dataset.ago), now);
      if (element.textContent !== text) element.textContent = text;
    }
  }, 1000);
}
