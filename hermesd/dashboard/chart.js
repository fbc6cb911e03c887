// Charts over time in SVG: axes, lines or stacked areas, values under a crosshair.
//
// The plot is a slider for the keyboard and for screen readers: arrow keys move the crosshair from
// point to point, and each place is read out with its values.

import { fill, h, say, svg } from "./dom.js";
import { clock } from "./format.js";
import { areaPath, highestOf, linePath, niceTicks, stack, timeTicks } from "./scale.js";

const HEIGHT = 168;
const TOP = 8;
const BOTTOM = 22;
const LEFT = 46;
const RIGHT = 10;

/**
 * A chart. `series`: `{name, label, tone}`, `tone` being a class that colours it; `format` makes a
 * value a text; `stacked`: areas on top of each other, else lines; `axis` is a shorter `format`, `ticks(highest)` the
 * values that the axis names.
 */
export class Chart {
  constructor({
    title,
    series,
    format,
    axis = format,
    ticks = niceTicks,
    stacked = false,
    signal,
  }) {
    this._series = series;
    this._format = format;
    this._axis = axis;
    this._ticks = ticks;
    this._stacked = stacked;
    this._title = title;
    this._times = [];
    this._columns = [];
    this._place = null;
    this._width = 600;
    this._legend = series.map(({ label, tone }) => {
      const value = h("b", {}, "–");
      return { value, item: h("li", {}, h("i", { class: `key ${tone}` }), `${label} `, value) };
    });
    this._when = h("li", {}, ""); // of which moment the values beside the names are
    this._svg = svg("svg", {
      "aria-hidden": "true",
      focusable: "false",
      height: HEIGHT,
      width: "100%",
    });
    this._readout = h("div", { class: "readout", hidden: true });
    this._plot = h(
      "div",
      { class: "plot", role: "slider", tabindex: "0", "aria-label": `${title}: values over time` },
      this._svg,
      this._readout,
    );
    this.element = h(
      "figure",
      { class: "chart" },
      h(
        "figcaption",
        {},
        h("h2", {}, title),
        h(
          "ul",
          {},
          this._when,
          this._legend.map(({ item }) => item),
        ),
      ),
      this._plot,
    );
    this._listen(signal);
  }

  /** Show `columns[name]`, as long as `times` (seconds since the epoch); null is a gap. */
  update(times, columns) {
    this._times = times;
    this._columns = this._series.map(({ name }) => columns[name] ?? times.map(() => null));
    if (this._place !== null && this._place >= times.length) this._place = null;
    const last = lastKnown(this._columns);
    say(this._when, last < 0 ? "" : `at ${clock(times[last])}`);
    this._legend.forEach(({ value }, place) => {
      say(value, last < 0 ? "–" : this._format(this._columns[place][last]));
    });
    this._draw();
    this._point(this._place);
  }

  _listen(signal) {
    const observer = new ResizeObserver(([entry]) => {
      const width = Math.round(entry.contentRect.width);
      if (width && width !== this._width) {
        this._width = width;
        this._draw();
        this._point(this._place);
      }
    });
    observer.observe(this._plot);
    signal.addEventListener("abort", () => observer.disconnect());
    this._plot.addEventListener("pointermove", (event) => this._onPointer(event));
    this._plot.addEventListener("pointerleave", () => this._point(null));
    this._plot.addEventListener("blur", () => this._point(null));
    this._plot.addEventListener("keydown", (event) => this._onKey(event));
  }

  _draw() {
    if (!this._times.length) return;
    const stacked = this._stacked ? stack(this._columns, this._times.length) : null;
    const tops = stacked ? stacked.map(({ upper }) => upper) : this._columns;
    const ticks = this._ticks(highestOf(tops));
    this._top = ticks[ticks.length - 1];
    this._cross = svg("line", {
      class: "cross",
      y1: TOP,
      y2: HEIGHT - BOTTOM,
      visibility: "hidden",
    });
    const shapes = this._series.map(({ tone }, place) =>
      stacked ? this._area(tone, stacked[place]) : this._line(tone, this._columns[place]),
    );
    fill(this._svg, this._yAxis(ticks), this._xAxis(), shapes, this._cross);
  }

  _line(tone, column) {
    return svg("path", { class: `line ${tone}`, d: linePath(this._points(column)) });
  }

  // The edge of a layer is drawn where the layer has any height: it would hide that of the one below.
  _area(tone, { lower, upper }) {
    const top = this._points(upper);
    const high = upper.map((value, place) => value > lower[place]);
    const edge = top.map((point, place) =>
      high.slice(Math.max(place - 1, 0), place + 2).some(Boolean) ? point : null,
    );
    return [
      svg("path", { class: `area ${tone}`, d: areaPath(top, this._points(lower)) }),
      svg("path", { class: `line ${tone}`, d: linePath(edge) }),
    ];
  }

  _points(column) {
    return column.map((value, place) =>
      value === null ? null : [this._x(this._times[place]), this._y(value)],
    );
  }

  _x(time) {
    const first = this._times[0];
    const whole = this._times[this._times.length - 1] - first || 1;
    return LEFT + ((time - first) / whole) * (this._width - LEFT - RIGHT);
  }

  _y(value) {
    return HEIGHT - BOTTOM - (value / this._top) * (HEIGHT - BOTTOM - TOP);
  }

  _yAxis(ticks) {
    return ticks.map((tick) => {
      const y = this._y(tick);
      return [
        svg("line", { class: "grid", x1: LEFT, x2: this._width - RIGHT, y1: y, y2: y }),
        svg(
          "text",
          { class: "tick", x: LEFT - 6, y: y + 4, "text-anchor": "end" },
          this._axis(tick),
        ),
      ];
    });
  }

  _xAxis() {
    const [first, last] = [this._times[0], this._times[this._times.length - 1]];
    const most = Math.max(2, Math.floor((this._width - LEFT) / 76));
    return timeTicks(first, last, most).map((time) => {
      const x = Math.min(Math.max(this._x(time), LEFT + 16), this._width - RIGHT - 16);
      const text = clock(time, time % 60 === 0);
      return svg("text", { class: "tick", x, y: HEIGHT - 6, "text-anchor": "middle" }, text);
    });
  }

  _onPointer(event) {
    if (!this._times.length) return;
    const box = this._plot.getBoundingClientRect();
    const share = (event.clientX - box.left - LEFT) / (this._width - LEFT - RIGHT);
    const place = Math.round(share * (this._times.length - 1));
    this._point(Math.min(Math.max(place, 0), this._times.length - 1));
  }

  _onKey(event) {
    if (!this._times.length) return;
    const last = this._times.length - 1;
    const place = this._place ?? last;
    const goals = {
      ArrowLeft: place - 1,
      ArrowRight: place + 1,
      PageUp: place - 10,
      PageDown: place + 10,
      Home: 0,
      End: last,
    };
    if (event.key === "Escape" && this._place !== null) this._point(null);
    else if (event.key in goals) this._point(Math.min(Math.max(goals[event.key], 0), last));
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  _point(place) {
    this._place = place;
    const shown = place !== null && place < this._times.length;
    this._readout.hidden = !shown;
    if (this._cross) this._cross.setAttribute("visibility", shown ? "visible" : "hidden");
    this._tell(shown ? place : this._times.length - 1);
    if (!shown) return;
    const x = this._x(this._times[place]);
    this._cross.setAttribute("x1", x);
    this._cross.setAttribute("x2", x);
    fill(
      this._readout,
      h("b", {}, clock(this._times[place])),
      this._series.map(({ label, tone }, each) =>
        h(
          "span",
          {},
          h("i", { class: `key ${tone}` }),
          `${label} `,
          h("b", {}, this._value(each, place)),
        ),
      ),
    );
    const left = x > this._width / 2;
    this._readout.style.left = left ? "" : `${x + 8}px`;
    this._readout.style.right = left ? `${this._width - x + 8}px` : "";
  }

  _value(each, place) {
    const value = this._columns[each][place];
    return value === null || value === undefined ? "–" : this._format(value);
  }

  _tell(place) {
    const plot = this._plot;
    plot.setAttribute("aria-valuemin", "0");
    plot.setAttribute("aria-valuemax", String(Math.max(this._times.length - 1, 0)));
    plot.setAttribute("aria-valuenow", String(Math.max(place, 0)));
    const values = this._series.map(
      ({ label }, each) => `${label} ${place < 0 ? "–" : this._value(each, place)}`,
    );
    const time = place < 0 ? "no values yet" : clock(this._times[place]);
    plot.setAttribute("aria-valuetext", `${time}: ${values.join(", ")}`);
  }
}

function lastKnown(columns) {
  for (let place = (columns[0]?.length ?? 0) - 1; place >= 0; place -= 1) {
    if (columns.some((column) => column[place] !== null)) return place;
  }
  return -1;
}
