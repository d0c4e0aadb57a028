// The map: test images as points by class, and the image of the point under the pointer.
import { bitmap, classColour, colour, field, h, numbers, pixels, select, short } from "../kit.js";

export const title = "Map";

export function mount(root, { ask, state, setState, problem }) {
  const canvas = h("canvas", {
    class: "map",
    tabindex: "0",
    role: "application",
    "aria-label": "Map of the codes. Arrow keys move the point that is decoded, with Shift in larger steps.",
    "aria-describedby": "map-at",
  });
  const image = pixels("The image that the model decodes at the point of the map");
  const at = h("output", { id: "map-at", class: "code" });
  const legend = h("ul", { class: "legend" });
  const controls = h("div", { class: "controls" });
  const note = h("p", { class: "note" });
  const side = h("div", { class: "side" }, h("figure", {}, image, h("figcaption", {}, at)), controls, legend, note);
  root.append(h("div", { class: "split" }, canvas, side));

  let map = null;
  let point = numbers(state.z);
  let hidden = new Set();
  let frames = 0;

  const parameters = (more = {}) => {
    const chosen = numbers(state.axes);
    return {
      model: state.model,
      axes: chosen && chosen.length === 2 ? chosen : "auto",
      label: map?.conditional ? Number(state.label ?? 0) : null,
      ...more,
    };
  };

  async function load() {
    try {
      map = await ask("map", parameters());
      if (!point || point.length !== 2) point = [(map.square[0] + map.square[2]) / 2, (map.square[1] + map.square[3]) / 2];
      build();
      draw();
      decode();
    } catch (error) {
      problem(error);
    }
  }

  async function decode() {
    const [x, y] = point;
    at.textContent = `${map.axes[0]} ${short(x)}, ${map.axes[1]} ${short(y)}`;
    try {
      const answer = await ask.latest("map", parameters({ at: [x, y] }), "map-decode");
      if (!answer) return;
      image.src = answer.png;
      canvas.dataset.decoded = String(++frames);
      problem(null);
    } catch (error) {
      problem(error);
    }
  }

  function move(x, y) {
    const [left, bottom, right, top] = map.square;
    point = [Math.min(right, Math.max(left, x)), Math.min(top, Math.max(bottom, y))];
    state.z = point.map((value) => value.toFixed(3)).join(",");
    setState({ z: state.z });
    draw();
    decode();
  }

  function build() {
    note.textContent = map.note ?? (map.dimensions > 2 ? `A plane through codes of ${map.dimensions} dimensions.` : "");
    legend.replaceChildren();
    const present = new Set(map.labels);
    map.classes.forEach((name, label) => {
      if (!present.has(label)) return;
      const swatch = h("span", { class: "swatch", style: { background: classColour(label, root) } });
      legend.append(h("li", {}, swatch, name));
    });
    controls.replaceChildren();
    if (map.conditional) {
      const options = map.classes.map((name, label) => [label, name]);
      controls.append(field("Class", select(options, state.label ?? 0, (label) => choose({ label }))));
    }
  }

  function choose(changes) {
    Object.assign(state, changes);
    setState(changes, { keep: true });
    load();
  }

  function draw() {
    if (!map) return;
    const size = canvas.clientWidth;
    const scale = window.devicePixelRatio || 1;
    canvas.width = canvas.height = Math.round(size * scale);
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    const [left, bottom, right, top] = map.square;
    const toX = (x) => ((x - left) / (right - left)) * size;
    const toY = (y) => ((top - y) / (top - bottom)) * size;
    context.globalAlpha = 0.75;
    for (let i = 0; i < map.points.length / 2; i++) {
      context.fillStyle = classColour(map.labels[i] ?? 0, root);
      context.beginPath();
      context.arc(toX(map.points[2 * i]), toY(map.points[2 * i + 1]), 2.2, 0, 2 * Math.PI);
      context.fill();
    }
    context.globalAlpha = 1;
    const [x, y] = [toX(point[0]), toY(point[1])];
    context.strokeStyle = colour(root, "--ground");
    context.lineWidth = 5;
    ring(context, x, y);
    context.strokeStyle = colour(root, "--accent");
    context.lineWidth = 2.5;
    ring(context, x, y);
  }

  function ring(context, x, y) {
    context.beginPath();
    context.arc(x, y, 9, 0, 2 * Math.PI);
    context.stroke();
  }

  const fromPointer = (event) => {
    if (!map) return;
    const box = canvas.getBoundingClientRect();
    const [left, bottom, right, top] = map.square;
    move(
      left + ((event.clientX - box.left) / box.width) * (right - left),
      top - ((event.clientY - box.top) / box.height) * (top - bottom),
    );
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fromPointer(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (canvas.hasPointerCapture(event.pointerId)) fromPointer(event);
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!step || !map) return;
    event.preventDefault();
    const length = ((map.square[2] - map.square[0]) / 100) * (event.shiftKey ? 5 : 1);
    move(point[0] + step[0] * length, point[1] + step[1] * length);
  });

  const resized = new ResizeObserver(draw);
  resized.observe(canvas);
  load();

  return {
    update(next) {
      const same = next.axes === state.axes && next.label === state.label;
      Object.assign(state, { axes: undefined, label: undefined, z: undefined }, next);
      point = numbers(state.z) ?? point;
      if (!same) load();
      else if (map) {
        draw();
        decode();
      }
    },
    unmount() {
      resized.disconnect();
    },
  };
}
