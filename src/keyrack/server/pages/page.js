// Shows /openapi.json as a page on which every operation can be tried. No library, nothing from outside.
"use strict";

const METHODS = ["get", "post", "patch", "put", "delete"];

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function resolve(schema, document_) {
  if (!schema || !schema.$ref) return schema || {};
  return schema.$ref.slice(2).split("/").reduce((at, name) => at[name], document_);
}

// A small example value for a schema: what a reader would type first.
function example(schema, document_, depth = 0) {
  const known = resolve(schema, document_);
  if (known.examples) return known.examples[0];
  if (known.default !== undefined && known.default !== null) return known.default;
  if (known.enum) return known.enum[0];
  const options = known.anyOf || known.oneOf;
  if (options) return example(options[0], document_, depth);
  if (known.type === "object" && depth < 3) {
    const required = known.required || [];
    const entries = Object.entries(known.properties || {}).filter(([name]) => required.includes(name));
    return Object.fromEntries(entries.map(([name, inner]) => [name, example(inner, document_, depth + 1)]));
  }
  if (known.type === "array") return [example(known.items, document_, depth + 1)];
  return { integer: 1, number: 1, boolean: false, string: "text" }[known.type] ?? {};
}

function parameterTable(parameters) {
  const rows = parameters.map((parameter) => {
    const input = element("input", { name: parameter.name });
    input.dataset.where = parameter.in;
    const label = `${parameter.name}${parameter.required ? " *" : ""}`;
    return element("tr", {}, element("th", { textContent: label }), element("td", {}, input),
      element("td", { textContent: parameter.description || parameter.in }));
  });
  return element("table", {}, ...rows);
}

async function send(method, path, inside) {
  let target = path;
  const query = new URLSearchParams();
  const headers = {};
  for (const input of inside.querySelectorAll("input[name]")) {
    const { name, value, dataset } = input;
    if (dataset.where === "path") target = target.replace(`{${name}}`, encodeURIComponent(value));
    else if (value && dataset.where === "query") query.set(name, value);
    else if (value) headers[name] = value;
  }
  const key = document.getElementById("key").value;
  if (key) headers.authorization = `Bearer ${key}`;
  const body = inside.querySelector("textarea");
  if (body && body.value.trim()) headers["content-type"] = "application/json";
  const options = { method: method.toUpperCase(), headers, body: body && body.value.trim() ? body.value : undefined };
  const response = await fetch(query.size ? `${target}?${query}` : target, options);
  const text = await response.text();
  let shown = text;
  try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON: shown as it came */ }
  return `${response.status} ${response.statusText}\n${shown}`;
}

function operation(method, path, described, document_) {
  const inside = element("div", { className: "inside" }, element("p", { textContent: described.description || "" }));
  if (described.parameters) inside.append(parameterTable(described.parameters));
  const content = resolve(described.requestBody, document_).content || {};
  const schema = (content["application/json"] || {}).schema;
  if (schema) {
    const value = JSON.stringify(example(schema, document_), null, 2);
    inside.append(element("textarea", { value, rows: 8, ariaLabel: "Request body" }));
  }
  const answers = Object.entries(described.responses || {});
  inside.append(element("p", { textContent: `Answers: ${answers.map(([status]) => status).join(", ")}` }));
  const output = element("pre", { hidden: true });
  const button = element("button", { textContent: "Send" });
  button.addEventListener("click", async () => {
    output.hidden = false;
    output.textContent = await send(method, path, inside).catch((error) => String(error));
  });
  inside.append(button, output);
  const summary = element("summary", {}, element("span", { className: "method", textContent: method.toUpperCase() }),
    element("code", { textContent: path }), ` ${described.summary || ""}`,
    element("span", { className: "scope", textContent: (described["x-required-scopes"] || []).join(" ") }));
  return element("details", {}, summary, inside);
}

async function show() {
  const document_ = await (await fetch("openapi.json")).json();
  document.getElementById("about").textContent = `${document_.info.description || ""} Version ${document_.info.version}.`;
  const groups = new Map();
  for (const [path, item] of Object.entries(document_.paths)) {
    for (const method of METHODS.filter((name) => item[name])) {
      const group = (item[method].tags || ["other"])[0];
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push(operation(method, path, item[method], document_));
    }
  }
  for (const [group, operations] of groups) {
    document.getElementById("contents").append(element("a", { href: `#${group}`, textContent: group }));
    document.getElementById("operations").append(element("h2", { id: group, textContent: group }), ...operations);
  }
}

show();
