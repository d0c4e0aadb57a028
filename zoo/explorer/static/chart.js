// Curves over epochs, with a readout under the pointer or by the arrow keys.
import { h } from "./kit.js";

const SVG = "http://www.w3.org/2000/svg";
const [HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [300, 58, 12, 12, 30];

function s(tag, properties = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(properties)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// chart() -> {element, show(epochs, lines: [{name, values}], words)}.
export function chart() {
  const caption = h("figcaption", {});
  const legend = h("ul", { class: "legend" });
  const readout = h("output", { class: "code" });
  const plot = s("svg", {
    role: "application", tabindex: "0", class: "chart",
    "aria-label": "Curves over the epochs. The arrow keys move from epoch to epoch.",
  });
  const element = h("figure", { class: "curves", hidden: true }, caption, plot, legend, readout);
  let [epochs, lines, at] = [[], [], null];
  let wide = 720; // as wide as it is shown, so that its letters are as large as others

  function show(newEpochs, newLines, words) {
    [epochs, lines] = [newEpochs, newLines];
    element.hidden = false;
    const { ticks, highest } = scale(lines);
    caption.textContent = words + (highest > ticks.at(-1) ? `; the curves begin above the edge, at up to ${highest.toPrecision(4)}` : "");
    legend.replaceChildren(...lines.map(({ name }) => h("li", {}, h("span", { class: `key ${name}` }), name)));
    draw();
  }

  const first = () => Math.min(1, epochs[0]);
  const x = (epoch) => LEFT + ((epoch - first()) / Math.max(1, epochs.at(-1) - first())) * (wide - LEFT - RIGHT);

  function draw() {
    wide = plot.clientWidth || wide;
    plot.setAttribute("viewBox", `0 0 ${wide} ${HEIGHT}`);
    const { ticks } = scale(lines);
    const [low, high] = [ticks[0], ticks.at(-1)];
    const y = (value) => TOP + ((high - Math.min(high, value)) / (high - low)) * (HEIGHT - TOP - BOTTOM);
    const parts = [];
    for (const tick of ticks) {
      parts.push(s("line", { x1: LEFT, x2: wide - RIGHT, y1: y(tick), y2: y(tick), class: "rule" }));
      parts.push(s("text", { x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, label(tick, ticks)));
    }
    for (const epoch of wholes(first(), epochs.at(-1))) {
      parts.push(s("text", { x: x(epoch), y: HEIGHT - 8, "text-anchor": "middle" }, String(epoch)));
    }
    for (const { name, values } of lines) {
      const points = values.map((value, i) => `${x(epochs[i]).toFixed(1)},${y(value).toFixed(1)}`);
      parts.push(s("polyline", { points: points.join(" "), class: `line ${name}` }));
      if (values.length === 1) parts.push(s("circle", { cx: x(epochs[0]), cy: y(values[0]), r: 4, class: `line ${name}` }));
    }
    if (at !== null && at < epochs.length) {
      parts.push(s("line", { x1: x(epochs[at]), x2: x(epochs[at]), y1: TOP, y2: HEIGHT - BOTTOM, class: "mark" }));
    }
    plot.replaceChildren(...parts);
    const index = at !== null && at < epochs.length ? at : epochs.length - 1;
    const values = lines.map((line) => `${line.name} ${line.values[index].toPrecision(5)}`);
    readout.textContent = `epoch ${epochs[index]}: ${values.join(", ")}`;
  }

  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * wide;
    at = epochs.reduce((best, epoch, i) => (Math.abs(x(epoch) - place) < Math.abs(x(epochs[best]) - place) ? i : best), 0);
    draw();
  });
  plot.addEventListener("pointerleave", () => {
    at = null;
    draw();
  });
  plot.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const ends = { Home: 0, End: epochs.length - 1 };
    if (!step && !(event.key in ends)) return;
    event.preventDefault();
    at = event.key in ends ? ends[event.key] : Math.min(epochs.length - 1, Math.max(0, (at ?? epochs.length - 1) + step));
    draw();
  });
  return { element, show };
}

// The ticks, and the highest value: the first epochs may lie far above all others, and above the last tick.
function scale(lines) {
  const sorted = lines.flatMap(({ values }) => values).sort((a, b) => a - b);
  const [low, highest] = [sorted[0], sorted.at(-1)];
  const most = sorted[Math.floor(0.97 * (sorted.length - 1))];
  const cut = most > low && highest - low > 4 * (most - low);
  return { ticks: round(low, cut ? most + 0.25 * (most - low) : highest), highest };
}

// A step that is a round number, 1, 2 or 5 times a power of ten, and at least as large as `rough`.
function roundStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= rough * (1 - 1e-9));
}

// Ticks at round numbers that hold everything between two.
function round(low, high) {
  const step = roundStep((high - low || Math.abs(high) || 1) / 4);
  const ticks = [];
  for (let i = Math.floor(low / step); i <= Math.ceil(high / step); i++) ticks.push(i * step);
  return ticks.length > 1 ? ticks : [ticks[0], ticks[0] + step];
}

function label(tick, ticks) {
  const digits = Math.max(0, -Math.floor(Math.log10(ticks[1] - ticks[0]) + 1e-9));
  return tick.toFixed(Math.min(digits, 8)).replace("-", "\u2212");
}

// The first epoch, and round ones up to the last, at most eight.
function wholes(first, last) {
  const step = Math.max(1, roundStep(Math.max(1, last - first) / 7));
  const found = [first];
  for (let epoch = Math.ceil((first + 0.5 * step) / step) * step; epoch <= last; epoch += step) found.push(epoch);
  return found;
}
