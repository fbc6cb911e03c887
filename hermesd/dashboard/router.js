// Views by the hash of the address, filters in its query: `#/jobs?state=failed&type=email`.

/** The hash of a view: `path` parts are encoded, empty filters left out. */
export function to(path, query = {}) {
  const parts = Array.isArray(path) ? path : [path];
  const encoded = parts
    .filter((part) => part !== "")
    .map(encodeURIComponent)
    .join("/");
  const text = queryText(query);
  return `#/${encoded}${text ? `?${text}` : ""}`;
}

/**
 * Filters, each a text or a list of them, as the query of an address; empty ones are left out. Not
 * so an empty `error`: jobs that failed without a message are a group too.
 */
export function queryText(query) {
  const values = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      const empty = each === "" && name !== "error";
      if (each !== null && each !== undefined && !empty) values.append(name, each);
    }
  }
  return values.toString();
}

/** What the hash says: `{parts, query}`; anything unreadable is the overview. */
export function read(hash = location.hash) {
  const [path, ...rest] = hash.replace(/^#\/?/, "").split("?");
  try {
    const parts = path.split("/").filter(Boolean).map(decodeURIComponent);
    return { parts, query: new URLSearchParams(rest.join("?")) };
  } catch {
    return { parts: [], query: new URLSearchParams() };
  }
}

/** Go to a view; `replace` keeps the history as it is, as for each letter of a filter. */
export function go(hash, { replace = false } = {}) {
  if (hash === location.hash) return;
  if (replace) {
    history.replaceState(null, "", hash);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    location.hash = hash;
  }
}
