// The arithmetic of charts: where ticks go, and paths through points with gaps.

const TIME_STEPS = [10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

/** Round values from 0 to at least `highest`, `ticks` steps or somewhat more. */
export function niceTicks(highest, ticks = 4) {
  if (!(highest > 0)) return [0, 1];
  const raw = highest / ticks;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].find((each) => each * power >= raw * 0.999) * power;
  const found = [];
  for (let place = 0; place * step < highest + step * 0.999; place += 1) {
    found.push(Number((place * step).toPrecision(12)));
  }
  return found;
}

/** The same of seconds: round in the unit that fits the highest. */
export function spanTicks(highest, ticks) {
  const unit = [86400, 3600, 60].find((each) => highest > each) ?? 1;
  return niceTicks(highest / unit, ticks).map((tick) => tick * unit);
}

/** Whole times between two times (seconds), in the viewer's zone, `ticks` or fewer. */
export function timeTicks(first, last, ticks = 6) {
  const step = TIME_STEPS.find((each) => (last - first) / each <= ticks) ?? 86400;
  const zone = new Date(first * 1000).getTimezoneOffset() * 60;
  const found = [];
  for (let time = Math.ceil((first - zone) / step) * step + zone; time <= last; time += step) {
    found.push(time);
  }
  return found;
}

/** SVG path through `[x, y]` points; null starts anew after a gap, and a lone point is a dash. */
export function linePath(points) {
  let path = "";
  let pen = "M";
  points.forEach((point, place) => {
    if (point === null) {
      pen = "M";
      return;
    }
    path += `${pen}${point[0].toFixed(1)} ${point[1].toFixed(1)}`;
    if (pen === "M" && !points[place + 1]) path += "m-1.5 0h3";
    pen = "L";
  });
  return path;
}

/** SVG path around what is between two lines of as many points; null where there is a gap. */
export function areaPath(upper, lower) {
  let path = "";
  let from = 0;
  while (from < upper.length) {
    if (upper[from] === null) {
      from += 1;
      continue;
    }
    let to = from;
    while (to < upper.length && upper[to] !== null) to += 1;
    const way = upper.slice(from, to).concat(lower.slice(from, to).reverse());
    path += `${linePath(way)}Z`;
    from = to;
  }
  return path;
}

/** Sums from the bottom up: for each series the lists of its lower and upper values. */
export function stack(columns, length) {
  let below = new Array(length).fill(0);
  return columns.map((column) => {
    const lower = below;
    below = lower.map((value, place) => value + (column[place] ?? 0));
    return { lower, upper: below.map((value, place) => (column[place] === null ? null : value)) };
  });
}

/** The largest number in lists with gaps; 0 where there is none. */
export function highestOf(columns) {
  let highest = 0;
  for (const column of columns) for (const value of column) if (value > highest) highest = value;
  return highest;
}
