// Shows /openapi.json as a page on which every operation can be tried. No library, nothing from outside.
"use strict";

const METHODS = ["get", "post", "patch", "put", "delete"];
let api = {};

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function table(rows) {
  const cell = (content, index) => element(index ? "td" : "th", {}, ...[content].flat());
  return element("table", {}, ...rows.map((row) => element("tr", {}, ...row.map(cell))));
}

// Descriptions are written with backticks around names.
function prose(text) {
  const parts = (text || "").split("`");
  return parts.map((part, index) => (index % 2 ? element("code", { textContent: part }) : part));
}

function section(title, ...content) {
  return [element("h3", { textContent: title }), ...content];
}

// The schema itself, wherever it stands; of several that may be, the first that says something.
function resolve(schema) {
  if (!schema) return {};
  if (schema.$ref) return resolve(schema.$ref.slice(2).split("/").reduce((at, name) => at[name], api));
  const options = (schema.anyOf || schema.oneOf || []).filter((one) => one.type !== "null");
  return options.length ? { ...schema, ...resolve(options[0]) } : schema;
}

// A small example value: what a reader would type first.
function example(schema, depth = 0) {
  const known = resolve(schema);
  if (known.examples) return known.examples[0];
  if (known.default !== undefined && known.default !== null) return known.default;
  if (known.enum) return known.enum[0];
  const type = [known.type].flat()[0];
  if (type === "array") return [example(known.items, depth + 1)];
  if (type === "object" && depth < 3) {
    const required = Object.entries(known.properties || {}).filter(([name]) => (known.required || []).includes(name));
    return Object.fromEntries(required.map(([name, inner]) => [name, example(inner, depth + 1)]));
  }
  return { integer: 1, number: 1, boolean: false, string: "text" }[type] ?? {};
}

// A schema in a few words: `list of text, at most 100`. What is in a list stands without its bounds.
function inWords(schema) {
  const known = resolve(schema);
  const type = [known.type].flat()[0];
  if (known.enum) return known.enum.join(" or ");
  const plain = type === "string" ? known.format || "text" : type || "anything";
  const word = type === "array" ? `list of ${inWords(known.items).split(",")[0]}` : plain;
  const least = known.minimum ?? known.minLength ?? known.minItems;
  const most = known.maximum ?? known.maxLength ?? known.maxItems;
  const bounds = most === undefined ? "" : least ? `, ${least} to ${most}` : `, at most ${most}`;
  return word + bounds;
}

function membersOf(schema) {
  const known = resolve(schema);
  const shown = known.type === "array" ? resolve(known.items) : known;
  const star = (name) => ((shown.required || []).includes(name) ? `${name} *` : name);
  const rows = Object.entries(shown.properties || {});
  return table(rows.map(([name, inner]) => [star(name), inWords(inner), prose(resolve(inner).description)]));
}

function parameterRow(parameter) {
  const input = element("input", { name: parameter.name, placeholder: inWords(parameter.schema) });
  input.dataset.where = parameter.in;
  input.setAttribute("aria-label", parameter.name);
  return [`${parameter.name}${parameter.required ? " *" : ""}`, input, prose(parameter.description || parameter.in)];
}

// What is to be sent, as it stands in the form now.
function asked(method, path, inside) {
  const query = new URLSearchParams();
  const headers = {};
  let target = path;
  for (const { name, value, dataset } of inside.querySelectorAll("input[name]")) {
    if (dataset.where === "path") target = target.replace(`{${name}}`, encodeURIComponent(value));
    else if (value && dataset.where === "query") query.set(name, value);
    else if (value) headers[name] = value;
  }
  const body = inside.querySelector("textarea")?.value.trim();
  if (body) headers["content-type"] = "application/json";
  const url = new URL(`.${target}${query.size ? `?${query}` : ""}`, document.baseURI);
  return { url: url.href, method: method.toUpperCase(), headers, body: body || undefined };
}

// The key stands in it by name only: commands are copied into chats and histories.
function asCurl({ url, method, headers, body }) {
  const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
  const lines = Object.entries(headers).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`);
  if (body) lines.push(`-d ${quoted(body)}`);
  const verb = method === (body ? "POST" : "GET") ? "" : `-X ${method} `;
  return [`curl -s ${verb}${quoted(url)}`, '-H "Authorization: Bearer $KEYRACK_KEY"', ...lines].join(" \\\n     ");
}

async function send({ url, ...options }) {
  const key = document.getElementById("key").value.trim();
  if (key) options.headers.authorization = `Bearer ${key}`;
  const response = await fetch(url, options);
  const text = await response.text();
  let shown = text;
  try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON: shown as it came */ }
  return { good: response.ok, shown: `${response.status} ${response.statusText}\n${shown}` };
}

function buttons(method, path, inside) {
  const output = element("pre", { hidden: true, tabIndex: 0 });
  const show = (text, className) => Object.assign(output, { hidden: false, textContent: text, className });
  const sending = element("button", { textContent: "Send" });
  sending.addEventListener("click", async () => {
    try {
      const { good, shown } = await send(asked(method, path, inside));
      show(shown, good ? "good" : "bad");
    } catch (error) {
      show(String(error), "bad");
    }
  });
  const curl = element("button", { textContent: "As curl", className: "plain" });
  curl.addEventListener("click", () => show(asCurl(asked(method, path, inside)), ""));
  return [sending, curl, output];
}

function operation(method, path, described) {
  const inside = element("div", { className: "inside" }, element("p", {}, ...prose(described.description)));
  if (described.parameters) inside.append(...section("Parameters", table(described.parameters.map(parameterRow))));
  const schema = resolve(described.requestBody).content?.["application/json"]?.schema;
  if (schema) {
    const value = JSON.stringify(example(schema), null, 2);
    const rows = Math.min(value.split("\n").length + 1, 12);
    inside.append(...section("Body", element("textarea", { value, rows, ariaLabel: "Body", spellcheck: false })));
    inside.append(element("details", {}, element("summary", { textContent: "All members" }), membersOf(schema)));
  }
  inside.append(...buttons(method, path, inside));
  const answers = Object.entries(described.responses || {}).map(([status, one]) => [status, prose(one.description)]);
  inside.append(element("details", {}, element("summary", { textContent: "Answers" }), table(answers)));
  const scopes = described["x-required-scopes"] || [];
  const scope = scopes.join(" ") || (described.security ? "any key" : "open");
  const summary = element("summary", {}, element("span", { className: `method ${method}`, textContent: method.toUpperCase() }),
    element("code", { textContent: path }), element("span", { textContent: described.summary || "" }),
    element("span", { className: "scope", textContent: scope }));
  return element("details", { id: described.operationId || `${method}${path}` }, summary, inside);
}

function link(made) {
  const [method, path, summary] = made.querySelectorAll("summary > *");
  const title = summary.textContent || path.textContent;
  return element("a", { href: `#${made.id}`, title: `${method.textContent} ${path.textContent}`, textContent: title });
}

function openNamed() {
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (named?.tagName === "DETAILS") named.open = true;
}

function filter() {
  const words = document.getElementById("filter").value.toLowerCase().split(/\s+/);
  for (const one of document.querySelectorAll("main > section > details")) {
    const text = one.querySelector("summary").textContent.toLowerCase();
    one.hidden = !words.every((word) => text.includes(word));
    document.querySelector(`nav a[href="#${CSS.escape(one.id)}"]`).hidden = one.hidden;
  }
  for (const group of document.querySelectorAll("main > section, nav > div")) {
    group.hidden = !group.querySelector(":scope > details:not([hidden]), :scope > a:not([hidden])");
  }
}

function grouped() {
  const groups = new Map();
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((name) => item[name])) {
      const [group] = item[method].tags || ["other"];
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push(operation(method, path, item[method]));
    }
  }
  return groups;
}

async function show() {
  api = await (await fetch("openapi.json")).json();
  document.getElementById("version").textContent = api.info.version;
  document.getElementById("about").textContent = api.info.description || "";
  for (const [group, operations] of grouped()) {
    const named = element("span", { className: "group", textContent: group });
    document.getElementById("contents").append(element("div", {}, named, ...operations.map(link)));
    const title = element("h2", { textContent: group });
    document.getElementById("operations").append(element("section", {}, title, ...operations));
  }
  document.getElementById("filter").addEventListener("input", filter);
  window.addEventListener("hashchange", openNamed);
  openNamed();
}

show();
