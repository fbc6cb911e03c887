// The known types and queues, offered to whoever types one.

import { get } from "./api.js";
import { h } from "./dom.js";

/** Put the lists `known-type` and `known-queue` into `place`, for the `list` of its fields. */
export async function offerNames(place, signal) {
  const lists = ["type", "queue"].map((each) => h("datalist", { id: `known-${each}` }));
  place.append(...lists);
  const [types, queues] = await Promise.all([
    get(["types"], {}, signal).catch(() => ({ types: [] })),
    get(["queues"], {}, signal).catch(() => ({ queues: [] })),
  ]);
  const options = (found) => found.map(({ name }) => h("option", { value: name }));
  lists[0].append(...options(types.types));
  lists[1].append(...options(queues.queues));
}
