// Reading JSON Schemas as far as a form can follow them; what it cannot is left to raw JSON.

const DEEPEST = 5;

/**
 * What to ask for at a place of a schema: `{kind, node, items}`. `kind`: `choice` (one of
 * `node.enum`), `boolean`, `integer`, `number`, `string`, `object` (with properties), `array`, or
 * `json` for everything else. `root` is the whole schema, for references within it.
 */
export function question(schema, root, depth = 0) {
  const node = plain(schema, root);
  if (node === null || depth > DEEPEST) return { kind: "json", node: node ?? {} };
  if ("const" in node) return { kind: "choice", node: { ...node, enum: [node.const] } };
  if (Array.isArray(node.enum)) return { kind: "choice", node };
  const type = Array.isArray(node.type)
    ? only(node.type.filter((each) => each !== "null"))
    : node.type;
  if (["boolean", "integer", "number", "string"].includes(type)) return { kind: type, node };
  if (type === "array" && node.items && typeof node.items === "object")
    return { kind: "array", node };
  if ((type === "object" || type === undefined) && node.properties) return { kind: "object", node };
  return { kind: "json", node };
}

/** The members of an object as `[name, schema, required]`, required ones first. */
export function members(node) {
  const required = new Set(node.required ?? []);
  const found = Object.entries(node.properties ?? {}).map(([name, schema]) => [
    name,
    schema,
    required.has(name),
  ]);
  return found.sort((a, b) => b[2] - a[2]);
}

/** What a person should know of a value: its description and its bounds. */
export function hint(node) {
  const told = [];
  if (typeof node.description === "string") told.push(node.description);
  if (node.format) told.push(String(node.format));
  if (node.pattern && !node.description) told.push(`like ${node.pattern}`);
  const bounds = [
    ["minimum", "at least"],
    ["maximum", "at most"],
    ["exclusiveMinimum", "above"],
    ["exclusiveMaximum", "below"],
    ["minLength", "at least", "characters"],
    ["maxLength", "at most", "characters"],
    ["minItems", "at least", "items"],
    ["maxItems", "at most", "items"],
  ];
  for (const [name, word, unit] of bounds) {
    if (typeof node[name] === "number")
      told.push([word, node[name], unit].filter((each) => each !== undefined).join(" "));
  }
  if (node.default !== undefined && node.default !== null)
    told.push(`else ${JSON.stringify(node.default)}`);
  return told.join(" · ");
}

// References followed, and "this or null" and one-item combinations taken for what they mean.
function plain(schema, root) {
  let node = schema;
  for (let steps = 0; steps < 10; steps += 1) {
    if (node === null || typeof node !== "object" || Array.isArray(node)) return null;
    if (typeof node.$ref === "string")
      node = { ...resolved(node.$ref, root), ...without(node, "$ref") };
    else if (alone(node, "anyOf")) node = { ...alone(node, "anyOf"), ...without(node, "anyOf") };
    else if (alone(node, "oneOf")) node = { ...alone(node, "oneOf"), ...without(node, "oneOf") };
    else if (alone(node, "allOf")) node = { ...alone(node, "allOf"), ...without(node, "allOf") };
    else return node.anyOf || node.oneOf || node.allOf ? null : node;
  }
  return null;
}

function alone(node, name) {
  if (!Array.isArray(node[name])) return null;
  return only(node[name].filter((each) => each?.type !== "null"));
}

function only(list) {
  return list.length === 1 ? list[0] : undefined;
}

function without(node, name) {
  return Object.fromEntries(Object.entries(node).filter(([each]) => each !== name));
}

function resolved(reference, root) {
  if (!reference.startsWith("#")) return {};
  const parts = reference.slice(1).split("/").filter(Boolean);
  return parts.reduce((node, part) => node?.[unescaped(part)], root) ?? {};
}

/** A step of a JSON pointer as a name (RFC 6901). */
export function unescaped(part) {
  return decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
}

/** A name as a step of a JSON pointer. */
export function escaped(name) {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}
