"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const [scenario, scale] = [document.getElementById("scenario"), document.getElementById("scale")];
const rows = document.getElementById("rows");
const WIDTH = 240, HEIGHT = 84, CAP = 4;

const make = (name, attributes, ...children) => {
  const svg = ["svg", "path", "rect", "line", "title"].includes(name);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...children);
  return made;
};
const most = (lists) => lists.reduce((top, list) => Math.max(top, ...list), 0);
const shown = (number) => (number >= 100 ? Math.round(number).toLocaleString("en") : String(Math.round(number * 10) / 10));
const decimals = (number, digits) => (number === null ? "–" : number.toFixed(digits));

const place = (index, count) => (index * WIDTH) / count;
const level = (value, top) => HEIGHT - 2 - (Math.min(value, top) / (top || 1)) * (HEIGHT - 6);
const line = (values, top, colour, kind) => {
  const steps = values.map((value, index) => {
    const y = level(value, top).toFixed(1);
    return `${index ? "L" : "M"}${place(index, values.length).toFixed(1)} ${y}H${place(index + 1, values.length).toFixed(1)}`;
  });
  return make("path", { class: kind || "line", d: steps.join(""), fill: "none", stroke: `var(--${colour})`,
    "vector-effect": "non-scaling-stroke" });
};
const figure = (title, note, said, parts) =>
  make("figure", {}, make("figcaption", {}, make("span", {}, title), make("span", {}, note)),
    make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": said },
      make("title", {}, said), ...parts));

const heat = (cell) => {
  const classes = data.edges.length + 1, step = HEIGHT / classes, bins = cell.heat.length / classes, parts = [];
  for (let bin = 0; bin < bins; bin++) {
    for (let at = 0; at < classes; at++) {
      const share = parseInt(cell.heat[bin * classes + at], 36) / 35;
      if (share > 0) {
        parts.push(make("rect", { x: place(bin, bins).toFixed(1), y: (HEIGHT - (at + 1) * step).toFixed(1),
          width: (WIDTH / bins + 0.3).toFixed(1), height: (step + 0.2).toFixed(1),
          fill: `rgb(var(--heat) / ${(0.15 + 0.85 * share).toFixed(2)})` }));
      }
    }
  }
  const target = HEIGHT - (data.edges.indexOf(1) + 1) * step;
  parts.push(make("line", { class: "mark", x1: 0, x2: WIDTH, y1: target, y2: target }));
  return parts;
};
const stacked = (cell, top, seconds) => {
  const kinds = [["in_time", "good"], ["late", "late"], ["failed", "failed"], ["given_up", "gone"]];
  const count = cell.in_time.length, below = new Array(count).fill(0), parts = [];
  for (const [kind, colour] of kinds) {
    for (let bin = 0; bin < count; bin++) {
      const value = cell[kind][bin] / seconds;
      if (value) {
        const [upper, lower] = [level(below[bin] + value, top), level(below[bin], top)];
        parts.push(make("rect", { x: place(bin, count).toFixed(1), y: upper.toFixed(1), fill: `var(--${colour})`,
          width: (WIDTH / count + 0.3).toFixed(1), height: Math.max(lower - upper, 0.4).toFixed(1) }));
        below[bin] += value;
      }
    }
  }
  return parts;
};

const measures = (cell) => {
  const list = make("dl");
  for (const [name, value] of [["score", decimals(cell.score, 3)], ["U", decimals(cell.U, 2)], ["I", decimals(cell.I, 2)],
    ["I99", decimals(cell.I99, 2)], ["E", decimals(cell.E, 3)], ["J", decimals(cell.J, 2)],
    ["converged", cell.convergence_s === null ? "–" : `${decimals(cell.convergence_s, 1)} s`]]) {
    list.append(make("dt", {}, name), make("dd", {}, value));
  }
  return list;
};

const draw = () => {
  const chosen = data.tasks.findIndex((task) => task.scenario === scenario.value && String(task.scale) === scale.value);
  const task = data.tasks[chosen];
  for (const row of document.querySelectorAll(".scores tr[data-task]")) {
    row.classList.toggle("chosen", Number(row.dataset.task) === chosen);
  }
  rows.replaceChildren();
  document.getElementById("time").textContent = task ? `From left to right: ${task.seconds} s. ` : "";
  if (!task) { rows.append(make("p", {}, "This scenario was not run at this scale.")); return; }
  const cells = [{ ...task.oracle, algorithm: "oracle" }, ...data.cells.filter((cell) => cell.task === chosen)];
  const best = most([task.oracle.limit]), seconds = task.seconds / task.oracle.limit.length;
  const limits = Math.min(most(cells.map((cell) => cell.limit)), CAP * best);
  const flights = Math.min(most(cells.map((cell) => cell.in_flight)), CAP * best);
  const rate = (cell) => cell.in_time.map((value, bin) => (value + cell.late[bin]) / seconds);
  const all = (cell) => cell.in_time.map((value, bin) =>
    (value + cell.late[bin] + cell.failed[bin] + cell.given_up[bin]) / seconds);
  const rates = most(cells.map(rate)), ends = Math.min(most(cells.map(all)), CAP * most([all(task.oracle)]));
  for (const cell of cells) {
    const of = `of ${cell.algorithm} in ${task.scenario}, ${task.seconds} s`;
    const peak = (list) => `up to ${shown(most([list]))}`;
    rows.append(make("section", { class: "row", "aria-label": cell.algorithm },
      make("div", {}, make("h3", {}, cell.algorithm), cell.score === undefined ? "" : measures(cell)),
      figure("limit", peak(cell.limit), `Limit ${of}: ${peak(cell.limit)}, the oracle's ${peak(task.oracle.limit)}`,
        [line(task.oracle.limit, limits, "oracle", "line oracle"), line(cell.limit, limits, "limit")]),
      figure("in flight", peak(cell.in_flight), `Cends in flight ${of}: ${peak(cell.in_flight)}`,
        [line(cell.in_flight, flights, "flight")]),
      figure("successes a second", peak(rate(cell)), `Successes a second ${of}: ${peak(rate(cell))}`,
        [line(rate(task.oracle), rates, "oracle", "line oracle"), line(rate(cell), rates, "rate")]),
      figure("latency", `target ${task.target_ms} ms dotted`, `Latency ${of}, by classes of the target`, heat(cell)),
      figure("outcomes a second", peak(all(cell)), `Outcomes ${of}: in time, late, failed, given up`, stacked(cell, ends, seconds))));
  }
};
scenario.addEventListener("change", draw);
scale.addEventListener("change", draw);
for (const button of document.querySelectorAll(".scores button")) {
  button.addEventListener("click", () => {
    const task = data.tasks[Number(button.closest("tr").dataset.task)];
    [scenario.value, scale.value] = [task.scenario, String(task.scale)];
    draw();
    document.getElementById("charts").scrollIntoView();
  });
}
draw();
