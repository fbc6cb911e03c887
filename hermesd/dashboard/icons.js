// The icons of the navigation, drawn on 20 by 20.

import { svg } from "./dom.js";

const PATHS = {
  overview: "M3 16V9m4.7 7V4m4.6 12v-5M17 16V7",
  jobs: "M4 5h12M4 10h12M4 15h8",
  workers: "M4 4h12v5H4zM4 11h12v5H4zM7 6.5h.01M7 13.5h.01",
  queues: "M3 6h9M3 10h9M3 14h9M15 5v10m0 0-2.2-2.4M15 15l2.2-2.4",
  letters: "M3 5h14v10H3zM3 6l7 5 7-5",
  schedules: "M10 3a7 7 0 1 0 .01 0M10 6v4l3 2",
  types: "M7 4 3 10l4 6M13 4l4 6-4 6",
  events: "M2 10h4l2-5 4 10 2-5h4",
  more: "M5 10h.01M10 10h.01M15 10h.01",
};

/** One of them. */
export function icon(name) {
  return svg(
    "svg",
    { viewBox: "0 0 20 20", width: 18, height: 18, "aria-hidden": "true", class: "icon" },
    svg("path", { d: PATHS[name] }),
  );
}
