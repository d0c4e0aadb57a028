// The map: test images as points by class, and the image of the point under the pointer.
import { bitmap, classColour, colour, field, h, isDark, mark, numbers, pixels, select, short } from "../kit.js";

export const title = "Map";

const GRID = 16;

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
  const legend = h("div", { class: "legend", role: "group", "aria-label": "Classes" });
  const controls = h("div", { class: "controls" });
  const note = h("p", { class: "note" });
  const help = h("p", { class: "note" }, "Drag over the map, or focus it and use the arrow keys.");
  const side = h("div", { class: "side" }, h("figure", {}, image, h("figcaption", {}, at)), controls, legend, note, help);
  const ring = h("span", { class: "ring", "aria-hidden": "true" });
  root.append(h("div", { class: "split" }, h("div", { class: "map-box" }, canvas, ring), side));

  let map = null;
  let grid = null; // the decoded images behind the points
  let point = numbers(state.z);
  let frames = 0;
  const only = new Set(numbers(state.only) ?? []);

  const parameters = (more = {}) => {
    const chosen = numbers(state.axes);
    return {
      model: state.model,
      axes: chosen?.length === 2 ? chosen : "auto",
      label: state.label === undefined ? null : Number(state.label),
      ...more,
    };
  };

  async function load() {
    try {
      map = await ask("map", parameters());
      grid = null;
      if (point?.length !== 2) point = [(map.square[0] + map.square[2]) / 2, (map.square[1] + map.square[3]) / 2];
      build();
      redraw();
      decode();
      await loadGrid();
    } catch (error) {
      problem(error);
    }
  }

  async function loadGrid() {
    if (!showsGrid()) {
      grid = null;
    } else if (!grid) {
      const answer = await ask.latest("map", parameters({ grid: GRID }), "map-grid");
      if (!answer) return;
      grid = await bitmap(answer.grid.png);
    }
    redraw();
  }

  const showsGrid = () => state.grid === "1" || (map && map.points.length === 0 && state.grid !== "0");

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
    place();
    decode();
  }

  function build() {
    const plane = map.axes[0].startsWith("PCA")
      ? `The codes have ${map.dimensions} dimensions; the map shows the plane of their first two principal components, through their mean.`
      : `The codes have ${map.dimensions} dimensions; the map shows two of them, the others are at their mean.`;
    note.textContent = [map.note, map.dimensions > 2 ? plane : null].filter(Boolean).join(" ");
    note.hidden = !note.textContent;
    legend.replaceChildren();
    const present = new Set(map.labels);
    map.classes.forEach((name, label) => {
      if (!present.has(label)) return;
      const swatch = h("canvas", { class: "swatch", width: 28, height: 28, "aria-hidden": "true" });
      const context = swatch.getContext("2d");
      context.fillStyle = classColour(label, root);
      mark(context, label, 14, 14, 9);
      legend.append(
        h("button", { "aria-pressed": String(only.has(label)), title: "Show only the chosen classes", onclick: (event) => toggle(label, event.currentTarget) }, swatch, name),
      );
    });
    controls.replaceChildren();
    if (map.conditional) {
      const options = map.classes.map((name, label) => [label, name]);
      controls.append(field("Decode as", select(options, state.label ?? 0, (label) => choose({ label }))));
    }
    if (map.dimensions > 2) {
      const [a, b] = numbers(state.axes) ?? [];
      const shown = Math.min(map.dimensions, 256);
      const names = Array.from({ length: shown }, (_, i) => [i, `z${i + 1}`]);
      const pca = ["", "principal component"];
      controls.append(
        field("Across", select([pca, ...names], a ?? "", (value) => choose({ axes: value === "" ? null : `${value},${b ?? (value === "0" ? 1 : 0)}`, z: null }))),
        field("Up", select([pca, ...names], b ?? "", (value) => choose({ axes: value === "" ? null : `${a ?? (value === "0" ? 1 : 0)},${value}`, z: null }))),
      );
    }
    const box = h("input", {
      type: "checkbox",
      onchange: () => {
        state.grid = box.checked ? "1" : "0";
        setState({ grid: state.grid }, { keep: true });
        loadGrid().catch(problem);
      },
    });
    box.checked = showsGrid();
    controls.append(h("label", { class: "field" }, box, "decoded images behind"));
  }

  function toggle(label, button) {
    if (!only.delete(label)) only.add(label);
    button.setAttribute("aria-pressed", String(only.has(label)));
    state.only = [...only].join(",") || undefined;
    setState({ only: state.only ?? null });
    redraw();
  }

  function choose(changes) {
    for (const [name, value] of Object.entries(changes)) {
      if (value === null) delete state[name];
      else state[name] = value;
    }
    if ("z" in changes) point = null;
    setState(changes, { keep: true });
    load();
  }

  const scale = () => window.devicePixelRatio || 1;

  // Draw everything but the ring, which moves over the canvas.
  function redraw() {
    if (!map || !canvas.clientWidth) return;
    const size = Math.round(canvas.clientWidth * scale());
    canvas.width = canvas.height = size;
    const context = canvas.getContext("2d");
    if (grid && showsGrid()) {
      context.imageSmoothingEnabled = false;
      context.globalAlpha = map.points.length ? 0.45 : 1;
      context.drawImage(grid, 0, 0, size, size);
    }
    const { toX, toY } = places(size);
    for (let i = 0; i < map.points.length / 2; i++) {
      const label = map.labels[i] ?? 0;
      const shown = only.size === 0 || only.has(label);
      context.globalAlpha = shown ? 0.8 : 0.08;
      context.fillStyle = classColour(label, root);
      mark(context, label, toX(map.points[2 * i]), toY(map.points[2 * i + 1]), 2.6 * scale());
    }
    context.globalAlpha = 1;
    ticks(context, size);
    place();
  }

  function place() {
    if (!map || !point) return;
    const { toX, toY } = places(canvas.clientWidth);
    ring.style.transform = `translate(${toX(point[0])}px, ${toY(point[1])}px)`;
  }

  const places = (size) => {
    const [left, bottom, right, top] = map.square;
    return { toX: (x) => ((x - left) / (right - left)) * size, toY: (y) => ((top - y) / (top - bottom)) * size };
  };

  function ticks(context, size) {
    const [left, bottom, right, top] = map.square;
    const { toX, toY } = places(size);
    const step = 10 ** Math.floor(Math.log10((right - left) / 2));
    context.font = `${11 * scale()}px system-ui, sans-serif`;
    context.lineWidth = 3 * scale();
    context.strokeStyle = colour(root, "--ground");
    context.fillStyle = colour(root, "--muted");
    const write = (text, x, y, align, baseline) => {
      context.textAlign = align;
      context.textBaseline = baseline;
      context.strokeText(text, x, y);
      context.fillText(text, x, y);
    };
    const pad = 5 * scale();
    const words = (value) => String(Number(value.toPrecision(3))).replace("-", "\u2212");
    for (let value = Math.ceil(left / step) * step; value < right; value += step) {
      const x = toX(value);
      if (x > 20 * scale() && x < size - 70 * scale()) write(words(value), x, size - pad, "center", "bottom");
    }
    for (let value = Math.ceil(bottom / step) * step; value < top; value += step) {
      const y = toY(value);
      if (y > 34 * scale() && y < size - 30 * scale()) write(words(value), pad, y, "left", "middle");
    }
    context.fillStyle = colour(root, "--text");
    write(map.axes[0], size - pad, size - pad, "right", "bottom");
    write(map.axes[1], pad, pad, "left", "top");
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

  let dark = isDark(root);
  const recoloured = () => {
    if (map && isDark(root) !== dark) {
      dark = isDark(root);
      build();
      redraw();
    }
  };
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const explorer = root.closest(".zoo");
  scheme.addEventListener("change", recoloured);
  explorer?.addEventListener("theme", recoloured);
  const resized = new ResizeObserver(redraw);
  resized.observe(canvas);
  load();

  return {
    update(next) {
      const same = next.axes === state.axes && next.label === state.label;
      for (const name of ["axes", "label", "z", "only", "grid"]) state[name] = next[name];
      only.clear();
      for (const label of numbers(state.only) ?? []) only.add(label);
      point = numbers(state.z) ?? (same ? point : null);
      if (same && map) {
        build();
        redraw();
        decode();
        loadGrid().catch(problem);
      } else load();
    },
    unmount() {
      resized.disconnect();
      scheme.removeEventListener("change", recoloured);
      explorer?.removeEventListener("theme", recoloured);
    },
  };
}
