// The daemon's HTTP API: JSON in and out, every call bounded, every refusal a Problem.

import { queryText } from "./router.js";

const PATIENCE_MS = 20_000;
const BASE = new URL("./", document.baseURI);

/** A request that was refused or not answered; `status` is 0 where no answer came. */
export class Problem extends Error {
  constructor({ status = 0, slug = "", title = "No answer", detail = "", errors = [] }) {
    super(detail || title);
    this.status = status;
    this.slug = slug; // which problem of the api's it is, such as `invalid-payload`
    this.title = title;
    this.errors = errors;
  }
}

/** The address of a route; `path` parts are encoded, empty filters left out. */
export function address(parts, query = {}) {
  const url = new URL(parts.map(encodeURIComponent).join("/"), BASE);
  url.search = queryText(query);
  return url;
}

/** GET a route. */
export function get(parts, query, signal) {
  return call("GET", address(parts, query), undefined, signal);
}

/** POST `body` to a route; none where there is nothing to say. */
export function post(parts, body, signal) {
  return call("POST", address(parts), body, signal);
}

/** PUT `body` in place of what a route has, if that has the `etag` still. */
export function put(parts, body, etag, signal) {
  return call("PUT", address(parts), body, signal, { "if-match": etag });
}

/** DELETE a route. */
export function remove(parts, signal) {
  return call("DELETE", address(parts), undefined, signal);
}

async function call(method, url, body, signal, headers = {}) {
  const given = AbortSignal.timeout(PATIENCE_MS);
  const options = { method, signal: signal ? AbortSignal.any([signal, given]) : given };
  options.headers = { accept: "application/json", ...headers };
  if (body !== undefined) {
    options.headers["content-type"] = "application/json";
    options.body = typeof body === "string" ? body : JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(url, options);
    const text = await answer.text();
    if (answer.ok) return text ? JSON.parse(text, exact) : null;
    throw problemOf(answer, text);
  } catch (error) {
    if (error instanceof Problem || (signal && signal.aborted)) throw error;
    throw new Problem({ status: answer ? answer.status : 0, detail: why(error, method, url) });
  }
}

// Whole numbers past 2^53 stay what they are, where the browser can keep the text of a number.
function exact(_, value, context) {
  const large =
    typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
  return large && context?.source && JSON.rawJSON ? JSON.rawJSON(context.source) : value;
}

function why(error, method, url) {
  if (error.name === "TimeoutError")
    return `${url.pathname} was not answered in ${PATIENCE_MS / 1000} s`;
  return method === "GET"
    ? `${url.pathname} could not be read: the api does not answer`
    : "The api does not answer: whether this was done is not known.";
}

function problemOf(answer, text) {
  let told = {};
  try {
    told = JSON.parse(text);
  } catch {
    // a proxy's page, perhaps: its status is all that is of use
  }
  return new Problem({
    status: answer.status,
    slug: String(told.type ?? "").replace("urn:hermesd:problem:", ""),
    title: told.title || `Status ${answer.status}`,
    detail: told.detail,
    errors: Array.isArray(told.errors) ? told.errors : [],
  });
}
