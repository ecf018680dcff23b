"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const by = (id) => document.getElementById(id);
const chart = by("chart"), axis = by("axis"), tip = by("tip"), rows = by("events").rows;
const [KIND, LANE, START, END, WAIT, MESSAGE] = [0, 1, 2, 3, 4, 5];
const GUTTER = 190, PITCH = 13, BAR = 9, MOST_DEEP = 8, WHOLE = data.end || 1e6, LEAST = 10;
const marked = new Set(data.marked);
let from = -WHOLE * 0.01, to = WHOLE * 1.01, drag = null;

const make = (name, attributes, ...children) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};
const cut = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);
const groupOf = (lane) => (lane[2] ? "" : "r") + lane[0];
const related = (one, other) => one === other || one.startsWith(other + ".") || other.startsWith(one + ".");

// What is chosen: a message with those that it came of and became, a route, trouble alone.
const chosen = () => {
  const message = by("message").value.trim(), group = by("group").value, only = by("marked").checked;
  return (event) =>
    (!message || (event[MESSAGE] !== "" && related(event[MESSAGE], message))) &&
    (!group || groupOf(data.lanes[event[LANE]]) === group) &&
    (!only || marked.has(event[KIND]));
};

// Time axis: steps of 1, 2 and 5, in the unit that suits the range.
const steps = (range, most) => {
  const raw = range / most, power = 10 ** Math.floor(Math.log10(raw));
  for (const factor of [1, 2, 5, 10]) if (factor * power >= raw) return Math.max(1, factor * power);
  return 1;
};
const time = (micros, step) => {
  if (step >= 1e6) return (micros / 1e6).toFixed(0) + " s";
  if (step >= 1e3) return (micros / 1e6).toFixed(step >= 1e5 ? 1 : step >= 1e4 ? 2 : 3) + " s";
  return (micros / 1e6).toFixed(6) + " s";
};

// Shapes of instants, around 0, 0.
const SHAPES = {
  published: "M-4 -4H4L0 4Z", left: "M-4 4H4L0 -4Z", fault: "M0 -5L5 0L0 5L-5 0Z", breaker: "M-1.5 -6H1.5V6H-1.5Z", limit: "M-5 4V0H-1V-4H5V4Z",
  crash: "M-5 -3L-3 -5L0 -2L3 -5L5 -3L2 0L5 3L3 5L0 2L-3 5L-5 3L-2 0Z", log: "M-3 -3H3V3H-3Z",
  queue: "M-1.5 -2A2 2 0 1 1 -1.5 2A2 2 0 1 1 -1.5 -2Z", run: "M-1 -5H1V5H-1Z",
};
const CIRCLE = "M-3.5 0A3.5 3.5 0 1 1 3.5 0A3.5 3.5 0 1 1 -3.5 0Z";

const draw = () => {
  const width = Math.max(480, chart.clientWidth), scale = (width - GUTTER) / (to - from);
  const x = (micros) => GUTTER + (micros - from) * scale;
  const clipped = (value) => Math.min(Math.max(x(value), GUTTER), width);
  const test = chosen(), group = by("group").value, message = by("message").value.trim();
  const shown = data.lanes.map(() => []);
  let count = 0;
  data.events.forEach((event, number) => {
    const inside = event[END] >= from && event[START] - event[WAIT] <= to, fits = test(event);
    rows[number].hidden = !(fits && inside);
    if (fits && inside) { shown[event[LANE]].push(number); count++; }
  });
  by("rows").textContent = `${count} of ${data.events.length} rows are in what is chosen above.`;
  const filtered = message || by("marked").checked;
  const stripes = [], parts = [], marks = [], journey = [], step = steps(to - from, Math.max(2, (width - GUTTER) / 90));
  let y = 4, last = null;
  data.lanes.forEach((lane, number) => {
    const own = groupOf(lane);
    const bands = data.bands.filter((band) => band[0] === number && band[4] >= from && band[3] <= to);
    if ((group && own !== group) || (filtered && !shown[number].length)) return;
    if (own !== last) {
      y += 5;
      parts.push(make("line", { class: "tick", x1: 0, x2: width, y1: y, y2: y }));
      if (!lane[2] || lane[0] !== "run") {
        if (lane[2] || lane[1]) y += 17;
        parts.push(make("text", { class: "group", x: 4, y: lane[2] || lane[1] ? y - 3 : y + 14 },
          make("title", {}, lane[0]), cut(lane[0], 26)));
      }
      last = own;
    }
    // Each event takes the first row in which it does not cover another.
    const ends = [], deep = [];
    const order = shown[number].map((place) => {
      const event = data.events[place], visit = event[KIND] < data.visits;
      const left = visit ? x(event[START] - event[WAIT]) : x(event[END]) - 5;
      return { place, event, visit, left, right: visit ? Math.max(x(event[END]), x(event[START]) + 3) : x(event[END]) + 5 };
    }).sort((one, other) => one.left - other.left || one.place - other.place);
    for (const each of order) {
      let row = ends.findIndex((end) => end <= each.left);
      if (row < 0) row = ends.length < MOST_DEEP ? ends.length : ends.indexOf(Math.min(...ends));
      ends[row] = Math.max(ends[row] || -Infinity, each.right + 1);
      deep.push(row);
    }
    const height = Math.max(1, ends.length) * PITCH + 6;
    if (number % 2) stripes.push(make("rect", { class: "stripe", x: 0, y, width, height }));
    if (lane[1]) parts.push(make("text", { class: "dim", x: lane[2] && lane[0] === "run" ? 4 : 14, y: y + 13 }, make("title", {}, lane[1]), cut(lane[1], 25)));
    for (const [, state, process, start, end] of bands) {
      parts.push(make("rect", { class: `of ${state}`, x: clipped(start), y: y + 1, width: Math.max(1, clipped(end) - clipped(start)),
        height: height - 2 }, make("title", {}, state === "alive" ? `process ${process} is alive` : `breaker ${state.replace("_", " ")}, process ${process}`)));
    }
    order.forEach((each, index) => {
      const { event, place, visit } = each, kind = data.kinds[event[KIND]], top = y + 5 + deep[index] * PITCH;
      if (visit) {
        if (event[WAIT]) {
          marks.push(make("rect", { class: `wait event ${kind}`, "data-event": place, x: clipped(event[START] - event[WAIT]), y: top,
            width: Math.max(0.5, clipped(event[START]) - clipped(event[START] - event[WAIT])), height: BAR }));
        }
        marks.push(make("rect", { class: `of event ${kind}`, "data-event": place, x: clipped(event[START]), y: top, rx: 1.5,
          width: Math.max(2, clipped(event[END]) - clipped(event[START])), height: BAR }));
        journey.push([event[START], place, clipped(event[START]), top + BAR / 2], [event[END], place, clipped(event[END]), top + BAR / 2]);
      } else if (event[END] >= from && event[END] <= to) {
        marks.push(make("path", { class: `of event ${kind}`, "data-event": place, d: SHAPES[kind] || CIRCLE,
          transform: `translate(${x(event[END]).toFixed(2)} ${top + BAR / 2})` }));
        journey.push([event[END], place, x(event[END]), top + BAR / 2]);
      }
    });
    y += height;
  });
  const ticks = [], labels = [];
  for (let at = Math.ceil(Math.max(from, 0) / step) * step; at <= to; at += step) {
    ticks.push(make("line", { class: "tick", x1: x(at), x2: x(at), y1: 0, y2: y }));
    if (x(at) < width - 24) labels.push(make("text", { class: "dim", x: x(at), y: 14, "text-anchor": "middle" }, time(at, step)));
  }
  const lines = [];
  if (message && journey.length > 1 && journey.length < 800) {
    journey.sort((one, other) => one[0] - other[0] || one[1] - other[1]);
    lines.push(make("path", { class: "journey", d: journey.map(([, , px, py], place) => `${place ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`).join("") }));
  }
  const gap = data.gap && [clipped(data.gap[0]), clipped(data.gap[1])];
  if (gap && gap[1] - gap[0] > 1) {
    stripes.push(make("rect", { class: "gap", x: gap[0], y: 0, width: gap[1] - gap[0], height: y }));
    if (gap[1] - gap[0] > 190) labels.push(make("text", { class: "dim", x: (gap[0] + gap[1]) / 2, y: 27, "text-anchor": "middle" }, "only the first trouble is shown here"));
  }
  if (!count) parts.push(make("text", { class: "dim", x: GUTTER + 10, y: y + 16 }, "nothing is in what is chosen"));
  chart.replaceChildren(make("svg", { width, height: y + 24 }, ...stripes, ...ticks, ...parts, ...lines, ...marks));
  axis.replaceChildren(make("svg", { width, height: data.gap ? 33 : 20 }, ...labels));
  axis.style.top = document.querySelector(".bar").offsetHeight + "px";
};

const zoom = (factor, middle) => {
  const at = middle === undefined ? (from + to) / 2 : middle;
  let range = Math.min(Math.max((to - from) * factor, LEAST), WHOLE * 1.02);
  from = at - ((at - from) / (to - from)) * range;
  to = from + range;
  keep();
};
const keep = () => {
  const range = to - from;
  from = Math.min(Math.max(from, -WHOLE * 0.01), WHOLE * 1.01 - range);
  to = from + range;
  draw();
};
const pan = (share) => {
  const way = (to - from) * share;
  from += way;
  to += way;
  keep();
};
const micros = (event) => {
  const box = chart.getBoundingClientRect();
  return from + (Math.max(0, event.clientX - box.left - GUTTER) / (Math.max(480, box.width) - GUTTER)) * (to - from);
};

for (const own of new Map(data.lanes.map((lane) => [groupOf(lane), lane[0]]))) by("group").append(new Option(cut(own[1], 40), own[0]));
for (const id of ["message", "group", "marked"]) by(id).addEventListener("input", draw);
by("in").onclick = () => zoom(0.5);
by("out").onclick = () => zoom(2);
by("left").onclick = () => pan(-0.4);
by("right").onclick = () => pan(0.4);
by("all").onclick = () => { from = -WHOLE * 0.01; to = WHOLE * 1.01; draw(); };
chart.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.metaKey) return;
  event.preventDefault();
  zoom(event.deltaY > 0 ? 1.25 : 0.8, micros(event));
}, { passive: false });
const follow = (message) => { by("message").value = by("message").value === message ? "" : message; draw(); };
chart.addEventListener("pointerdown", (event) => { if (!event.button) drag = [event.clientX, micros(event), event.target.dataset.event]; });
window.addEventListener("pointermove", (event) => {
  const place = event.target.dataset && event.target.dataset.event;
  tip.hidden = place === undefined || !event.target.closest("#chart");
  if (!tip.hidden) {
    const [seconds, process, where, message, what, detail] = [...rows[place].cells].map((cell) => cell.textContent);
    tip.textContent = `${seconds} s  ${process}  ${where}${message && "  message " + message}\n${what}${detail && ": " + detail}`;
    tip.style.left = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8) + "px";
    tip.style.top = Math.min(event.clientY + 14, window.innerHeight - tip.offsetHeight - 8) + "px";
  }
  if (drag && Math.abs(event.clientX - drag[0]) > 4) {
    const svg = chart.firstChild, box = chart.getBoundingClientRect();
    (svg.querySelector(".chosen") || svg.appendChild(make("rect", { class: "chosen", y: 0, height: svg.getAttribute("height") })));
    const mark = svg.querySelector(".chosen"), left = Math.max(GUTTER, Math.min(drag[0], event.clientX) - box.left);
    mark.setAttribute("x", left);
    mark.setAttribute("width", Math.max(0, Math.max(drag[0], event.clientX) - box.left - left));
  }
});
window.addEventListener("pointerup", (event) => {
  if (!drag) return;
  const [start, at, place] = drag;
  drag = null;
  if (Math.abs(event.clientX - start) > 4) {
    const until = micros(event);
    if (Math.abs(until - at) >= LEAST) [from, to] = [Math.min(at, until), Math.max(at, until)];
    keep();
  } else if (place !== undefined && data.events[place][MESSAGE]) follow(data.events[place][MESSAGE]);
});
by("events").addEventListener("click", (event) => {
  const cell = event.target.closest("td");
  if (cell && cell.cellIndex === 3 && cell.textContent) { follow(cell.textContent); by("timeline").scrollIntoView(); }
});
if (by("copy")) {
  by("copy").onclick = async () => {
    try {
      await navigator.clipboard.writeText(by("line").textContent);
    } catch {
      getSelection().selectAllChildren(by("line"));
      document.execCommand("copy");
    }
    by("copy").textContent = "copied";
    setTimeout(() => { by("copy").textContent = "copy"; }, 1500);
  };
}
window.addEventListener("resize", draw);
draw();
