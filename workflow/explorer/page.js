// The page: the current choice, in form and address, with its charts and tables.

const DATA = JSON.parse(document.getElementById("data").textContent);
const STUDIES = new Map(DATA.studies.map((study) => [study.name, study]));
const byId = (id) => document.getElementById(id);
const CHOICES = ["study", "layer", "first", "second", "coefficient"];
const choice = { study: DATA.studies[0].name, coefficient: DATA.coefficients[0][0], scope: DATA.scopes[0][0] };
let bytes = new Uint8Array();

/** The densities' bytes, unpacked by the browser. */
async function unpack() {
  const packed = Uint8Array.from(atob(byId("densities").textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  bytes = new Uint8Array(await new Response(stream).arrayBuffer());
}

const study = () => STUDIES.get(choice.study);
const look = (name) => DATA.looks[name];
const label = (name) => look(name).label;
const layerName = (tensor) => (tensor === "all" ? "all parameters" : tensor);
const networks = (count) => (count === 1 ? "1 network" : `${count} networks`);

/** The position of a pair among all pairs of a study, and whether it is reversed; null if there is no such pair. */
function pairOf(names, first, second) {
  let [i, j] = [names.indexOf(first), names.indexOf(second)];
  if (i < 0 || j < 0 || i === j) return null;
  const turned = i > j;
  if (turned) [i, j] = [j, i];
  return { place: (i * (2 * names.length - i - 1)) / 2 + j - i - 1, turned };
}

// ---------------------------------------------------------------------------------------------- choices and address

/** Replaces missing parts of the choice by the first existing ones, preferably estimators with importances; the two estimators
    differ if there are two. */
function settle() {
  const { estimators, names, tensors } = study(), ranked = [...estimators, ...names];
  const layers = tensors.map((tensor) => tensor.name);
  if (!layers.includes(choice.layer)) choice.layer = layers[0];
  if (!names.includes(choice.first)) choice.first = ranked.find((name) => name !== choice.second) ?? names[0];
  if (!names.includes(choice.second) || choice.second === choice.first) {
    choice.second = ranked.find((name) => name !== choice.first) ?? names[0];
  }
}

/** Reads the choice from the address; returns a sentence about unknown names. */
function readAddress() {
  const parameters = new URLSearchParams(location.hash.slice(1)), unknown = [];
  const take = (key, allowed) => {
    const value = parameters.get(key);
    if (value === null) return;
    if (allowed.includes(value)) choice[key] = value;
    else unknown.push(`${key} “${value}”`);
  };
  take("study", [...STUDIES.keys()]);
  take("layer", study().tensors.map((tensor) => tensor.name));
  take("first", study().names);
  take("second", study().names);
  take("coefficient", DATA.coefficients.map(([name]) => name));
  take("scope", DATA.scopes.map(([name]) => name));
  settle();
  return unknown.length ? `The address contains unknown names: ${unknown.join(", ")}. ` : "";
}

function writeAddress() {
  const parameters = new URLSearchParams();
  for (const key of [...CHOICES, "scope"]) if (choice[key] !== undefined) parameters.set(key, choice[key]);
  try {
    history.replaceState(null, "", `#${parameters}`);
  } catch {
    // inside another page, such as Snakemake's report, there is no address to write
  }
}

function options(select, pairs, chosen) {
  select.replaceChildren(...pairs.map(([value, text]) => new Option(text, value, false, value === chosen)));
  select.disabled = pairs.length < 2;
}

function fillChoices() {
  const { names, tensors } = study();
  options(byId("study"), DATA.studies.map(({ name }) => [name, name]), choice.study);
  const sized = ({ name, shape }) => [name, layerName(name) + (shape.length ? ` (${shape.join(" × ")})` : "")];
  options(byId("layer"), tensors.length ? tensors.map(sized) : [["", "see the other study"]], choice.layer);
  options(byId("first"), names.map((name) => [name, label(name)]), choice.first);
  options(byId("second"), names.map((name) => [name, label(name)]), choice.second);
  options(byId("coefficient"), DATA.coefficients, choice.coefficient);
  byId("swap").disabled = names.length < 2;
}

// ------------------------------------------------------------------------------------------------------------ pieces

function element(name, attributes, ...children) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
}

/** Fills a table: its caption, the names of its columns, and its rows, whose first cell names the row. */
function table(id, caption, columns, rows) {
  const head = element("tr", {}, ...columns.map((name) => element("th", { scope: "col" }, name)));
  const body = rows.map(([name, ...cells]) =>
    element("tr", {}, element("th", { scope: "row" }, name), ...cells.map((cell) => element("td", {}, cell))));
  const made = element("table", {}, element("caption", {}, caption), element("thead", {}, head), element("tbody", {}, ...body));
  const holder = byId(id).querySelector(".scroll");
  holder.replaceChildren(made);
  // make scrolling content reachable by keyboard
  Object.assign(holder, { tabIndex: 0, role: "region", ariaLabel: caption });
  byId(id).hidden = false;
}

/** Width available to a chart; in a window narrower than any screen, charts overflow. */
const room = (holder) => Math.max(holder.clientWidth, 240);

/** Explains, in a chart's place, why there is none. */
function absent(name, reason) {
  byId(name).replaceChildren(element("p", {}, ...[reason].flat()));
  byId(`${name}-table`).hidden = true;
  byId(`${name}-legend`)?.replaceChildren();
}

function legend(id, entries) {
  byId(id).replaceChildren(...entries.map(([drawn, text]) => element("li", {}, drawn, text)));
}

const interval = (mean, low, high, digits = 2) =>
  low === null ? shown(mean, digits) : `${shown(mean, digits)} (95 % interval ${shown(low, digits)} to ${shown(high, digits)})`;

/** Why a pair has no importances to show; null if it has. */
function missing() {
  const { estimators, like, name, names } = study();
  if (!estimators.length) {
    const link = element("a", { href: `#study=${encodeURIComponent(like)}` }, like);
    return ["This study uses the networks and importances of ", link, ", which shows them."];
  }
  if (names.length < 2) return `${name} has only one estimator.`;
  const ablation = [choice.first, choice.second].find((one) => !estimators.includes(one));
  if (ablation) return `Importances of ${label(ablation)} are not stored: choose two estimators to compare importances.`;
  return null;
}

// ------------------------------------------------------------------------------------------------------------ charts

function drawDensity() {
  const reason = missing();
  byId("density-lead").textContent = "";
  if (reason) return absent("density", reason);
  const { tensors, estimators } = study(), tensor = tensors.find(({ name }) => name === choice.layer);
  const pair = pairOf(estimators, choice.first, choice.second), { place, turned } = pair;
  const [x, y] = [choice.first, choice.second].map((name) => {
    const [low, high] = tensor.ranges[estimators.indexOf(name)];
    return { low, high, label: `${label(name)} (log scale)` };
  });
  const [entries, positive, seen] = [tensor.entries, tensor.positive[place], tensor.shown[place]];
  const many = (count) => count.toLocaleString("en");
  if (!seen) return absent("density", "No weight has a positive importance by both estimators, so none can be shown on logarithmic axes.");
  const parts = [`${many(seen)} of ${many(entries)} weights are shown, for all networks together.`];
  if (positive < entries) parts.push(`${many(entries - positive)} have an importance that is zero or negative, which has no logarithm.`);
  if (seen < positive) parts.push(`${many(positive - seen)} are outside the axes.`);
  byId("density-lead").textContent = parts.join(" ");

  const text = `Density of importances in ${layerName(choice.layer)}: ${label(choice.first)} on the horizontal axis, ${label(choice.second)} on the vertical axis.`;
  const width = room(byId("density"));
  if (tensor.few) {
    const points = pointsOf(tensor, estimators), chart = densityChart(width, { x, y, points, text });
    byId("density").replaceChildren(chart);
    densityTable(points.map(([a, b]) => [a, b, 1]), 8, x, y);
  } else {
    const cells = cellsOf(tensor, place, turned), n = DATA.bins;
    const most = Math.max(...cells.map(([, , count]) => count), 2);
    byId("density").replaceChildren(densityChart(width, { x, y, n, cells, text }), colourScale(width, most));
    densityTable(cells.map(([column, row, count]) => [(column + 0.5) / n, (row + 0.5) / n, count]), n / 2, x, y);
  }
}

/** The cells that hold weights: [column, row, count]. */
function cellsOf({ offset }, place, turned) {
  const n = DATA.bins, start = offset + place * n * n, filled = [];
  for (let cell = 0; cell < n * n; cell += 1) {
    const level = bytes[start + cell], [i, j] = [Math.floor(cell / n), cell % n];
    if (level) filled.push([turned ? j : i, turned ? i : j, Math.round(2 ** ((level - 1) / DATA.steps))]);
  }
  return filled;
}

/** Weights one by one, as shares of both axes. */
function pointsOf({ offset, entries }, estimators) {
  const [a, b] = [choice.first, choice.second].map((name) => offset + estimators.indexOf(name) * entries), points = [];
  for (let entry = 0; entry < entries; entry += 1) {
    const [x, y] = [bytes[a + entry], bytes[b + entry]];
    if (x < DATA.levels && y < DATA.levels) points.push([(x + 0.5) / DATA.levels, (y + 0.5) / DATA.levels]);
  }
  return points;
}

/** Quartiles of the second estimator for each interval of the first: the density in numbers. */
function densityTable(weighted, stretches, x, y) {
  const groups = Array.from({ length: stretches }, () => []);
  for (const [a, b, count] of weighted) groups[Math.min(Math.floor(a * stretches), stretches - 1)].push([b, count]);
  const value = (axis, share) => (10 ** (axis.low + share * (axis.high - axis.low))).toExponential(1).replace("e+", "e").replace("-", "−");
  const rows = groups.flatMap((group, place) => {
    const total = group.reduce((sum, [, count]) => sum + count, 0);
    if (!total) return [];
    group.sort(([a], [b]) => a - b);
    const quartile = (share) => {
      let sum = 0;
      return value(y, group.find(([, count]) => (sum += count) >= share * total)[0]);
    };
    const ends = `${value(x, place / stretches)} to ${value(x, (place + 1) / stretches)}`;
    return [[ends, `${byId("density").querySelector("circle") ? "" : "≈ "}${total.toLocaleString("en")}`, ...[0.25, 0.5, 0.75].map(quartile)]];
  });
  const caption = `Quartiles of ${label(choice.second)} for each interval of ${label(choice.first)}, ${layerName(choice.layer)}`;
  table("density-table", caption, [label(choice.first), "Weights", "Lower quartile", "Median", "Upper quartile"], rows);
}

/** A pair's coefficient in a tensor with its null: { mean, low, high, zero, n }; null if there is none. */
function agreementOf(tensor, coefficient) {
  const { agreement, estimators } = study(), coefficients = agreement[tensor]?.[coefficient];
  const pair = pairOf(estimators, choice.first, choice.second);
  if (!coefficients || !pair) return null;
  const [mean, low, high] = coefficients.pairs[pair.place];
  return { mean, low, high, zero: coefficients.null.includes(null) ? null : coefficients.null, n: coefficients.n };
}

const cellsOfInterval = ({ mean, low, high, zero }) =>
  [mean, low, high, ...(zero ?? [null, null])].map((value) => shown(value, 3));
const INTERVAL_COLUMNS = ["Mean", "Low", "High", "Null low", "Null high"];

function drawAgreement() {
  const reason = missing(), rows = DATA.coefficients.map(([name, text]) => ({ label: text, ...agreementOf(choice.layer, name) }));
  byId("agreement-lead").textContent = "";
  if (reason || rows[0].n === undefined) {
    absent("agreement", reason ?? "There are no coefficients for this pair.");
    return absent("layers", missing() ?? "There are no coefficients for this pair.");
  }
  byId("agreement-lead").textContent =
    `Mean over ${networks(rows[0].n)} with its 95 % interval; the grey bar contains 95 % of such means if one importance is permuted at random.`;
  const short = { pearson: "Pearson", spearman: "Spearman", pearson_log: "Pearson, logs", overlap_top10: "Top 10 % shared" };
  const drawn = rows.map((row, place) => ({ ...row, label: short[DATA.coefficients[place][0]] ?? row.label }));
  const values = rows.map((row) => `${row.label} ${shown(row.mean)}`).join(", ");
  const width = room(byId("agreement")), pair = `${label(choice.first)} and ${label(choice.second)}`;
  byId("agreement").replaceChildren(intervalChart(width, drawn, `Agreement of ${pair} in ${layerName(choice.layer)}: ${values}.`));
  table("agreement-table", `${pair}, ${layerName(choice.layer)}`, ["Coefficient", ...INTERVAL_COLUMNS],
    rows.map((row) => [row.label, ...cellsOfInterval(row)]));

  const name = DATA.coefficients.find(([key]) => key === choice.coefficient)[1];
  const layers = study().tensors.map(({ name: tensor }) => {
    const agreement = agreementOf(tensor, choice.coefficient);
    return { label: layerName(tensor), here: tensor === choice.layer, strong: tensor === choice.layer, ...agreement };
  });
  const all = layers.map((row) => `${row.label} ${shown(row.mean)}`).join(", ");
  byId("layers").replaceChildren(intervalChart(width, layers, `${name} of ${pair} in every layer: ${all}.`));
  table("layers-table", `${name} of ${pair}`, ["Layer", ...INTERVAL_COLUMNS], layers.map((row) => [row.label, ...cellsOfInterval(row)]));
}

const ROLES = ["first", "second"];

function drawRetention() {
  const { retention, selected, tasks, criterion } = study();
  const names = [...new Set([choice.first, choice.second])].filter((name) => retention[name]);
  byId("retention-lead").textContent = "";
  if (!names.length) return absent("retention", "This study has no retention results for these estimators.");
  byId("retention-lead").textContent =
    `Average test accuracy (%) over all ${tasks} tasks, after the last one, against the penalty strength λ.`;
  const none = retention.none?.[0], level = none && none[1] !== null ? none.slice(1, 4) : null;
  const axis = errorAxis([...names.flatMap((name) => retention[name]), ...(none ? [none] : [])]);
  const panels = names.map((name) => {
    const heading = element("h3", {}, label(name)), panel = element("div", {}, heading);
    return { name, panel };
  });
  byId("retention").replaceChildren(...panels.map(({ panel }) => panel));
  for (const { name, panel } of panels) {
    const rows = retention[name], chosen = selected[name], kind = ROLES[name === choice.first ? 0 : 1];
    const best = rows.find(([strength]) => strength === chosen);
    const text = best ? `best at λ = ${plain(chosen)}, ${percent(best[1])} %` : "no λ was selected, because training diverged at each";
    const x = { logarithmic: true, ticks: rows.map(([strength]) => strength), label: "λ", format: plain };
    const curve = { kind, ...look(name), rows, chosen, name: (value) => `λ = ${plain(value)}` };
    if (!axis) {
      panel.append(element("p", {}, "Training diverged at every λ."));
      continue;
    }
    panel.append(curveChart(room(panel), 270, { curves: [curve], x, axis, level, text: `Accuracy of ${label(name)} against λ: ${text}.` }));
  }
  const entries = names.map((name) => [sample({ kind: ROLES[name === choice.first ? 0 : 1], ...look(name) }), label(name)]);
  const circle = sample({ kind: "" }, mark("circle", { cx: 17, cy: 9, r: 7, class: "chosen" }));
  entries.push([circle, `λ selected on ${criterion ?? "validation"} data`]);
  if (level) entries.push([sample({ kind: "plain", dashes: "4 4" }), "no penalty"]);
  if (names.some((name) => retention[name].some(([, mean]) => mean === null))) {
    entries.push([sample({ kind: "" }, mark("path", { d: "M12 4l10 10m0-10l-10 10", class: "diverged" })), "training diverged"]);
  }
  legend("retention-legend", entries);
  const rows = [...names, ...(none ? ["none"] : [])].flatMap((name) => retention[name].map(([strength, mean, low, high, n]) => [
    label(name), name === "none" ? "–" : plain(strength), mean === null ? "diverged" : percent(mean), percent(low), percent(high), String(n),
    name !== "none" && strength === selected[name] ? "yes" : "",
  ]));
  table("retention-table", "Average test accuracy over all tasks, after the last one",
    ["Estimator", "λ", "Mean (%)", "Low (%)", "High (%)", "Networks", "Selected"], rows);
}

function drawPruning() {
  const { pruning, estimators } = study(), rows = pruning[choice.scope] ?? {};
  const names = [...new Set([choice.first, choice.second])].filter((name) => rows[name]);
  byId("pruning-lead").textContent = "";
  byId("scopes").hidden = !names.length;
  if (!names.length) {
    return absent("pruning", estimators.length ? "This study has no pruning results for these estimators." : missing());
  }
  byId("pruning-lead").textContent = "Test accuracy (%) on the first task as the least important weights are removed.";
  const all = [...names, ...(rows.random ? ["random"] : [])], axis = errorAxis(all.flatMap((name) => rows[name]));
  const kind = (name) => (name === "random" ? "plain" : ROLES[name === choice.first ? 0 : 1]);
  const curves = all.map((name) => ({
    kind: kind(name), ...look(name), rows: rows[name], name: (value) => `${shown(100 * value, 0)} % removed`,
  }));
  const ticks = [...new Set(all.flatMap((name) => rows[name].map(([fraction]) => fraction)))].sort((a, b) => a - b);
  const x = { logarithmic: false, ticks, label: "weights removed (%)", format: (value) => shown(100 * value, 0) };
  const ends = names.map((name) => `${label(name)} ${percent(rows[name].at(-1)[1])} %`).join(", ");
  const text = `Accuracy as weights are removed; with ${shown(100 * ticks.at(-1), 0)} % removed: ${ends}.`;
  byId("pruning").replaceChildren(curveChart(room(byId("pruning")), 300, { curves, x, axis, level: null, text }));
  legend("pruning-legend", all.map((name) => [sample({ kind: kind(name), ...look(name) }), label(name)]));
  table("pruning-table", `Test accuracy, weights ${DATA.scopes.find(([scope]) => scope === choice.scope)[1]}`,
    ["Criterion", "Removed (%)", "Mean (%)", "Low (%)", "High (%)", "Networks"],
    all.flatMap((name) => rows[name].map(([fraction, mean, low, high, n]) =>
      [label(name), shown(100 * fraction, 0), percent(mean), percent(low), percent(high), String(n)])));
}

/** A summary of the charts in one or two sentences, for screen readers. */
function summarise(notice) {
  const { retention, selected, text } = study(), sentences = [];
  const agreement = agreementOf(choice.layer, choice.coefficient), title = DATA.coefficients.find(([name]) => name === choice.coefficient)[1];
  if (agreement && agreement.mean !== null) {
    sentences.push(`${label(choice.first)} and ${label(choice.second)} in ${layerName(choice.layer)}: ` +
      `${title} ${interval(agreement.mean, agreement.low, agreement.high)}, ${networks(agreement.n)}.`);
  } else sentences.push(`${label(choice.first)}${choice.second === choice.first ? "" : ` and ${label(choice.second)}`}.`);
  const kept = [...new Set([choice.first, choice.second])].filter((name) => selected[name] && retention[name]);
  const best = kept.map((name) => {
    const [, mean] = retention[name].find(([strength]) => strength === selected[name]);
    return `${label(name)} ${percent(mean)} % at λ = ${plain(selected[name])}`;
  });
  const none = retention.none?.[0]?.[1];
  if (best.length) sentences.push(`After all tasks: ${best.join(", ")}${none ? `; without a penalty ${percent(none)} %` : ""}.`);
  byId("summary").replaceChildren(`${notice}${sentences.join(" ")} `, element("small", {}, text));
}

// ---------------------------------------------------------------------------------------------------------- the page

function draw() {
  drawDensity();
  drawAgreement();
  drawRetention();
  drawPruning();
}

function show(notice = "") {
  fillChoices();
  for (const input of document.querySelectorAll("#scopes input")) input.checked = input.value === choice.scope;
  for (const role of ROLES) {
    const { light, dark } = look(choice[role]);
    document.documentElement.style.setProperty(`--${role}`, `light-dark(${light}, ${dark})`);
  }
  draw();
  summarise(notice);
}

function change(key, value) {
  const other = { first: "second", second: "first" }[key];
  if (other && value === choice[other]) choice[other] = choice[key]; // swap equal estimators, which would show nothing
  choice[key] = value;
  if (key === "study") for (const role of ROLES) if (!study().estimators.includes(choice[role])) delete choice[role];
  settle();
  writeAddress();
  show();
}

function remember(theme) {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("importance-atlas-theme", theme);
  } catch {
    // an embedded page, or no permission to store: the choice lasts as long as the page
  }
}

function remembered() {
  try {
    return localStorage.getItem("importance-atlas-theme") ?? "system";
  } catch {
    return "system";
  }
}

function listen() {
  for (const key of CHOICES) byId(key).addEventListener("change", (event) => change(key, event.target.value));
  byId("swap").addEventListener("click", () => change("first", choice.second));
  for (const [scope, text] of DATA.scopes) {
    const input = element("input", { type: "radio", name: "scope", value: scope });
    input.addEventListener("change", () => change("scope", scope));
    byId("scopes").append(element("label", {}, input, text));
  }
  const theme = remembered();
  for (const input of document.querySelectorAll("input[name=theme]")) {
    input.checked = input.value === theme;
    input.addEventListener("change", () => remember(input.value));
  }
  document.documentElement.dataset.theme = theme;
  byId("choices").addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", () => {
    if (location.hash.includes("=")) show(readAddress());
  });
  let width = document.body.clientWidth;
  new ResizeObserver(() => {
    if (document.body.clientWidth === width) return;
    width = document.body.clientWidth;
    draw();
  }).observe(document.body);
}

async function begin() {
  const notice = readAddress();
  listen();
  try {
    await unpack();
  } catch (error) {
    const reason = "This browser cannot unpack the data. Use Chrome 80, Firefox 113, Safari 16.4, or a later version.";
    byId("summary").textContent = `${reason} (${error})`;
    return;
  }
  show(notice);
}

begin();
