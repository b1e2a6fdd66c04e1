"use strict";
// Charts as SVG elements, drawn at their width on the screen, so that text keeps its size. A chart is one image with a
// text description; the table below it holds the numbers. Independent of the page.

/** An SVG element with attributes and children (elements or text). */
function mark(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function picture(width, height, text, ...children) {
  return mark("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": text }, ...children);
}

/** Text; anchor is start, middle or end. */
function words(x, y, text, anchor = "start", kind = "") {
  return mark("text", { x, y, "text-anchor": anchor, class: kind }, text);
}

/** Formats a number with a true minus sign and at most the requested digits. */
function shown(value, digits = 2) {
  return value === null ? "–" : value.toFixed(digits).replace("-", "−").replace(/^−(0(\.0+)?)$/, "$1");
}

/** Formats numbers such as λ: 0.003, 41, 1e6. */
function plain(value) {
  return value >= 1e5 || (value > 0 && value < 1e-3) ? value.toExponential().replace("e+", "e").replace("-", "−") : String(value);
}

const percent = (value) => (value === null ? "–" : shown(100 * value, 1));
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** Maps values to pixels, clipped at both ends. */
function scale(low, high, from, to) {
  return (value) => from + (clamp(value, Math.min(low, high), Math.max(low, high)) - low) / (high - low || 1) * (to - from);
}

/** Ticks of a logarithmic axis, as [decimal logarithm, text]: powers of ten, at most `most`; if few, also 2 and 5 times these. */
function decades(low, high, most) {
  const count = Math.floor(high) - Math.ceil(low) + 1, step = Math.max(1, Math.ceil(count / most)), ticks = [];
  for (let exponent = Math.floor(low / step) * step; exponent <= high; exponent += step) {
    for (const factor of count < 3 ? [1, 2, 5] : [1]) {
      const at = exponent + Math.log10(factor);
      if (low <= at && at <= high) ticks.push([at, `${factor}e${shown(exponent, 0)}`]);
    }
  }
  return ticks;
}

// Cividis, the colour map of the figures: uniform in lightness and safe for colour-blind readers
const CIVIDIS = ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"];

function cividis(share) {
  const place = clamp(share, 0, 1) * (CIVIDIS.length - 1), left = Math.min(Math.floor(place), CIVIDIS.length - 2);
  const channel = (colour, start) => parseInt(colour.slice(start, start + 2), 16);
  const mixed = [1, 3, 5].map((start) => {
    const [a, b] = [channel(CIVIDIS[left], start), channel(CIVIDIS[left + 1], start)];
    return Math.round(a + (b - a) * (place - left));
  });
  return `rgb(${mixed.join(" ")})`;
}

const MARKERS = {
  o: "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z", s: "M-3.6-3.6h7.2v7.2h-7.2z", D: "M0-5L5 0L0 5L-5 0z",
  "^": "M0-4.8L4.8 3.8H-4.8z", v: "M0 4.8L4.8-3.8H-4.8z", P: "M-1.6-4.8h3.2v3.2h3.2v3.2h-3.2v3.2h-3.2v-3.2h-3.2v-3.2h3.2z",
  "*": "M0-5.4L1.3-1.7H5.1L2.1.7L3.2 4.4L0 2.2L-3.2 4.4L-2.1.7L-5.1-1.7H-1.3z",
  X: "M-4.6-2.4L-2.4-4.6L0-2.2L2.4-4.6L4.6-2.4L2.2 0L4.6 2.4L2.4 4.6L0 2.2L-2.4 4.6L-4.6 2.4L-2.2 0z",
  x: "M-4.6-2.4L-2.4-4.6L0-2.2L2.4-4.6L4.6-2.4L2.2 0L4.6 2.4L2.4 4.6L0 2.2L-2.4 4.6L-4.6 2.4L-2.2 0z",
};

function marker(kind, x, y, text) {
  const drawn = mark("path", { d: MARKERS[kind], transform: `translate(${x} ${y})`, class: "marker" });
  if (text) drawn.append(mark("title", {}, text));
  return drawn;
}

/**
 * One estimator against another on logarithmic axes, as cells of counts or as single weights.
 * x, y: { label, low, high } with decimal logarithms; cells: [column, row, count], n: cells along an axis, or
 * points: [x, y] as shares of the axes.
 */
function densityChart(width, { x, y, n, cells, points, text }) {
  const side = Math.min(width, 520), left = 72, top = 8, right = side - 8, bottom = side - 50;
  const across = scale(x.low, x.high, left, right), up = scale(y.low, y.high, bottom, top);
  const parts = [];
  for (const [tick, name] of decades(x.low, x.high, Math.floor((right - left) / 62))) {
    parts.push(mark("line", { x1: across(tick), x2: across(tick), y1: top, y2: bottom, class: "grid" }));
    parts.push(words(across(tick), bottom + 18, name, "middle"));
  }
  for (const [tick, name] of decades(y.low, y.high, 7)) {
    parts.push(mark("line", { x1: left, x2: right, y1: up(tick), y2: up(tick), class: "grid" }));
    parts.push(words(left - 7, up(tick) + 4, name, "end"));
  }
  if (cells) {
    const most = Math.max(...cells.map(([, , count]) => count), 2), size = (right - left) / n, high = (bottom - top) / n;
    for (const [column, row, count] of cells) {
      const place = { x: left + column * size, y: bottom - (row + 1) * high, width: size, height: high };
      const cell = mark("rect", { ...place, "shape-rendering": "crispEdges", fill: cividis(Math.log(count) / Math.log(most)) });
      cell.append(mark("title", {}, `about ${count.toLocaleString("en")} weights`));
      parts.push(cell);
    }
  } else {
    for (const [a, b] of points) {
      parts.push(mark("circle", { cx: left + a * (right - left), cy: bottom - b * (bottom - top), r: 2.6, class: "dot" }));
    }
  }
  parts.push(mark("path", { d: `M${left} ${top}V${bottom}H${right}`, class: "axis", fill: "none" }));
  parts.push(words((left + right) / 2, side - 8, x.label, "middle", "value"));
  const turned = words(0, 0, y.label, "middle", "value");
  turned.setAttribute("transform", `translate(12 ${(top + bottom) / 2}) rotate(-90)`);
  parts.push(turned);
  return picture(side, side, text, ...parts);
}

/** Colour scale of a density: from one weight to the largest count in a cell. */
function colourScale(width, most) {
  const side = Math.min(width, 520), left = 72, bar = Math.min(180, side - 240), steps = 24, parts = [];
  for (let step = 0; step < steps; step += 1) {
    const place = { x: left + step * bar / steps, y: 6, width: bar / steps, height: 10 };
    parts.push(mark("rect", { ...place, "shape-rendering": "crispEdges", fill: cividis(step / (steps - 1)) }));
  }
  parts.push(words(left - 7, 16, "1", "end"), words(left + bar + 7, 16, `${most.toLocaleString("en")} weights per cell`));
  return picture(side, 22, `Colours from 1 to about ${most} weights per cell`, ...parts);
}

/** Means with intervals, one row each: { label, mean, low, high, zero: [low, high] of the null, strong, here }. */
function intervalChart(width, rows, text) {
  const longest = Math.max(...rows.map((row) => row.label.length));
  const left = clamp(longest * 7 + 12, 90, Math.min(210, width * 0.44)), right = width - 46, step = 30, top = 6;
  const bottom = top + rows.length * step, ends = rows.flatMap((row) => [row.mean, row.low]).filter((end) => end !== null);
  const lowest = Math.min(0, ...ends.map((end) => Math.max(end, -1))), low = lowest < 0 ? Math.floor(lowest * 4) / 4 : 0;
  const across = scale(low, 1, left, right), parts = [];
  for (const tick of [-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1]) {
    if (tick < low || (across(0.25) - across(0) < 46 && tick % 0.5)) continue;
    parts.push(mark("line", { x1: across(tick), x2: across(tick), y1: top, y2: bottom, class: tick ? "grid" : "axis" }));
    parts.push(words(across(tick), bottom + 17, shown(tick), "middle"));
  }
  rows.forEach((row, place) => {
    const y = top + (place + 0.5) * step;
    if (row.here) parts.push(mark("rect", { x: 0, y: y - step / 2, width, height: step, class: "here" }));
    if (row.zero) {
      const [from, to] = row.zero.map(across);
      parts.push(mark("rect", { x: from, y: y - 8, width: Math.max(to - from, 2), height: 16, class: "null" }));
    }
    parts.push(words(left - 10, y + 4, row.label, "end", row.strong ? "strong" : "value"));
    if (row.mean === null) {
      parts.push(words(across(0) + 6, y + 4, "undefined"));
      return;
    }
    if (row.low !== null) parts.push(mark("path", { d: `M${across(row.low)} ${y}H${across(row.high)}`, class: "whisker" }));
    const dot = mark("circle", { cx: across(row.mean), cy: y, r: 5, class: "mean" });
    dot.append(mark("title", {}, `${row.label}: ${shown(row.mean, 3)}, ${shown(row.low, 3)} to ${shown(row.high, 3)}`));
    parts.push(dot, words(width, y + 4, shown(row.mean), "end", "value"));
  });
  return picture(width, bottom + 24, text, ...parts);
}

// Accuracies on an axis logarithmic in the error, as in the figures: 95 and 96 % are distinct next to 60 %
const ofError = (accuracy) => -Math.log(Math.max(100.5 - 100 * accuracy, 1e-3));

/** Ends and ticks of that axis for rows [x, mean, low, high, n]; intervals of fewer than three networks are cut. */
function errorAxis(rows) {
  const values = rows.flatMap(([, mean, low, high, n]) => (n > 2 ? [mean, low, high] : [mean]));
  const ends = values.filter((value) => value !== null).map((value) => ofError(clamp(value, 0, 1)));
  if (!ends.length) return null;
  const room = 0.12 * (Math.max(...ends) - Math.min(...ends)) + 0.02;
  const low = Math.min(...ends) - room, high = Math.max(...ends) + room, ticks = [];
  for (const tick of [99.5, 99, 98, 97, 96, 95, 93, 90, 85, 80, 70, 60, 40, 20, 0]) {
    const at = ofError(tick / 100);
    if (low < at && at < high && !ticks.some((other) => ofError(other / 100) - at < 0.09 * (high - low))) ticks.push(tick);
  }
  return { low, high, ticks };
}

/**
 * Curves of accuracy: { kind (first, second, plain), dashes, marker, label, rows: [x, mean, low, high, n], chosen }.
 * x: { logarithmic, ticks, label, format }; axis: result of errorAxis; level: [mean, low, high], or null.
 */
function curveChart(width, height, { curves, x, axis, level, text }) {
  const left = 42, right = width - 12, top = 8, bottom = height - 46, log = x.logarithmic ? Math.log10 : (value) => value;
  const at = x.ticks.map(log), margin = 0.06 * (Math.max(...at) - Math.min(...at)) || 0.3;
  const across = scale(Math.min(...at) - margin, Math.max(...at) + margin, left, right), column = (value) => across(log(value));
  const vertical = scale(axis.low, axis.high, bottom, top), up = (accuracy) => vertical(ofError(accuracy));
  const parts = [];
  for (const tick of axis.ticks) {
    const y = up(tick / 100);
    parts.push(mark("line", { x1: left, x2: right, y1: y, y2: y, class: "grid" }), words(left - 7, y + 4, String(tick), "end"));
  }
  const gap = Math.max(...x.ticks.map((tick) => x.format(tick).length)) * 7 + 10;
  let last = -Infinity;
  for (const tick of x.ticks) {
    parts.push(mark("line", { x1: column(tick), x2: column(tick), y1: bottom, y2: bottom + 4, class: "axis" }));
    if (column(tick) - last >= gap) {
      parts.push(words(column(tick), bottom + 18, x.format(tick), "middle"));
      last = column(tick);
    }
  }
  if (level) {
    const [mean, low, high] = level, group = mark("g", { class: "plain" });
    if (low !== null) {
      group.append(mark("path", { d: `M${left} ${up(low)}H${right}V${up(high)}H${left}z`, class: "band" }));
    }
    group.append(mark("path", { d: `M${left} ${up(mean)}H${right}`, class: "curve", "stroke-dasharray": "4 4" }));
    parts.push(group);
  }
  for (const curve of curves) parts.push(drawnCurve(curve, column, up, bottom));
  parts.push(mark("path", { d: `M${left} ${top}V${bottom}H${right}`, class: "axis", fill: "none" }));
  parts.push(words((left + right) / 2, height - 6, x.label, "middle", "value"));
  return picture(width, height, text, ...parts);
}

function drawnCurve({ kind, dashes, marker: shape, label, rows, chosen, name }, column, up, bottom) {
  const group = mark("g", { class: kind }), kept = rows.filter(([, mean]) => mean !== null);
  const spread = kept.filter(([, , low]) => low !== null);
  if (spread.length > 1) {
    const lower = spread.map(([x, , low]) => `${column(x)} ${up(low)}`), upper = spread.map(([x, , , high]) => `${column(x)} ${up(high)}`);
    group.append(mark("path", { d: `M${lower.join("L")}L${upper.reverse().join("L")}z`, class: "band" }));
  } else if (spread.length === 1) {
    const [x, , low, high] = spread[0];
    group.append(mark("path", { d: `M${column(x)} ${up(low)}V${up(high)}`, class: "curve" }));
  }
  if (kept.length > 1) {
    const line = kept.map(([x, mean]) => `${column(x)} ${up(mean)}`).join("L");
    group.append(mark("path", { d: `M${line}`, class: "curve", "stroke-dasharray": dashes }));
  }
  for (const [x, mean] of kept) {
    group.append(marker(shape, column(x), up(mean), `${label}, ${name(x)}: ${percent(mean)} %`));
    if (x === chosen) group.append(mark("circle", { cx: column(x), cy: up(mean), r: 9, class: "chosen" }));
  }
  for (const [x, mean] of rows) {
    if (mean === null) group.append(mark("path", { d: `M${column(x) - 5} ${bottom - 13}l10 10m0-10l-10 10`, class: "diverged" }));
  }
  return group;
}

/** A short piece of a curve, for a legend: kind, dashes and marker as above; or of the content of `inside`. */
function sample({ kind, dashes = "", marker: shape }, ...inside) {
  const line = mark("path", { d: "M1 9H33", class: "curve", "stroke-dasharray": dashes });
  const drawn = inside.length ? inside : [line, ...(shape ? [marker(shape, 17, 9)] : [])];
  return mark("svg", { width: 34, height: 18, "aria-hidden": "true" }, mark("g", { class: kind }, ...drawn));
}
