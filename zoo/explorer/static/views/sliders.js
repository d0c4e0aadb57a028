// Sliders: one for each dimension of the code, the most used first, and the traversal of one of them.
import { bitmap, drawFromSheet, field, h, pixels, select, short } from "../kit.js";

export const title = "Sliders";

const CELL = 56;

export function mount(root, { ask, state, setState, problem }) {
  const image = pixels("The image that the model decodes from the sliders' code");
  const original = pixels("The test image whose code the sliders began from");
  const originalFigure = h("figure", { hidden: true }, original, h("figcaption", {}, "the test image"));
  const controls = h("div", { class: "controls first" });
  const note = h("p", { class: "note" });
  const list = h("div", { class: "sliders" });
  const strip = h("canvas", { class: "strip", role: "img" });
  const stripTitle = h("h2", {});
  const traversal = h("section", { class: "traversal", hidden: true }, stripTitle, strip);
  root.append(
    h(
      "div",
      { class: "split sliders-view" },
      h("div", {}, list, note),
      h("div", { class: "side" }, h("div", { class: "pair" }, h("figure", {}, image, h("figcaption", {}, "decoded")), originalFigure), controls, traversal),
    ),
  );

  let page = null;
  let moved = read(state.z);
  let rows = new Map();

  const number = (text) => (text === undefined || text === null ? null : Number(text));
  const parameters = (more = {}) => ({
    model: state.model,
    image: number(state.image),
    seed: number(state.seed),
    label: number(state.label),
    moved: Object.fromEntries(moved),
    ...more,
  });

  async function show({ rebuild = false } = {}) {
    try {
      const answer = await ask.latest("sliders", parameters(), "sliders");
      if (!answer) return;
      page = answer;
      image.src = page.png;
      originalFigure.hidden = !page.original;
      if (page.original) original.src = page.original;
      if (rebuild || rows.size === 0) build();
      root.dataset.decoded = String(Number(root.dataset.decoded ?? 0) + 1);
      problem(null);
      if (state.along !== undefined) await traverse();
    } catch (error) {
      problem(error);
    }
  }

  async function traverse() {
    const along = Number(state.along);
    const answer = await ask.latest("sliders", parameters({ along }), "sliders-strip");
    if (!answer) return;
    traversal.hidden = false;
    const values = answer.values;
    stripTitle.textContent = `z${along + 1} from ${short(values[0])} to ${short(values.at(-1))}, all else as it is`;
    strip.setAttribute("aria-label", stripTitle.textContent);
    const sheet = answer.strip;
    const loaded = await bitmap(sheet.png);
    const columns = Math.max(1, Math.min(sheet.count, Math.floor((traversal.clientWidth + 4) / (CELL + 4))));
    const height = Math.round((CELL * sheet.height) / sheet.width);
    strip.width = columns * (CELL + 4) - 4;
    strip.height = Math.ceil(sheet.count / columns) * (height + 4) - 4;
    const context = strip.getContext("2d");
    for (let i = 0; i < sheet.count; i++) {
      drawFromSheet(context, loaded, sheet, i, (i % columns) * (CELL + 4), Math.floor(i / columns) * (height + 4), CELL, height);
    }
  }

  function build() {
    const most = Math.max(...page.use, 1e-9);
    rows = new Map();
    list.replaceChildren();
    page.dimensions.forEach((dimension, i) => {
      const value = h("output", { class: "value" }, short(page.z[i]));
      const input = h("input", {
        type: "range",
        min: page.low[i],
        max: page.high[i],
        step: (page.high[i] - page.low[i]) / 200,
        "aria-label": `z${dimension + 1}, ${page.measure} ${short(page.use[i])}`,
        oninput: () => {
          moved.set(dimension, Number(Number(input.value).toFixed(3)));
          value.textContent = short(input.value);
          remember();
          show();
        },
      });
      input.value = page.z[i];
      const bar = h("span", { class: "use", title: `${page.measure}: ${short(page.use[i])}` }, h("span", { style: { width: `${(100 * page.use[i]) / most}%` } }));
      const across = h(
        "button",
        { class: "quiet", title: `Traverse z${dimension + 1}`, "aria-pressed": String(Number(state.along) === dimension), onclick: () => choose({ along: String(dimension) }, false) },
        "traverse",
      );
      rows.set(dimension, { input, value, across });
      list.append(h("div", { class: "slider" }, h("span", { class: "name" }, `z${dimension + 1}`), input, value, bar, across));
    });
    const more = page.of > page.dimensions.length ? `the ${page.dimensions.length} most used of ${page.of} dimensions` : "all dimensions";
    note.textContent = `${page.note ? `${page.note} ` : ""}Sorted by use (${page.measure}): ${more}.`;
    controls.replaceChildren(
      h("button", { onclick: () => restart({}) }, "Reset"),
      h("button", { onclick: () => restart({ seed: String(Math.floor(Math.random() * 1e6)) }) }, "Random code"),
      page.images ? h("button", { onclick: () => restart({ image: String(Math.floor(Math.random() * page.images)) }) }, "Random test image") : "",
      page.classes.length ? field("Class", select(page.classes.map((name, label) => [label, name]), page.label ?? 0, (label) => choose({ label }, true))) : "",
    );
  }

  function remember() {
    state.z = [...moved].map(([dimension, value]) => `${dimension}:${value}`).join(",") || undefined;
    setState({ z: state.z ?? null });
  }

  function choose(changes) {
    Object.assign(state, changes);
    setState(changes, { keep: true });
    for (const [dimension, row] of rows) row.across.setAttribute("aria-pressed", String(Number(state.along) === dimension));
    show();
  }

  // Begin from another code: the mean, one of the prior's, or a test image's.
  function restart(start) {
    moved = new Map();
    const changes = { z: null, seed: null, image: null, label: state.image === undefined ? (state.label ?? null) : null, ...start };
    for (const [name, value] of Object.entries(changes)) {
      if (value === null) delete state[name];
      else state[name] = value;
    }
    setState(changes, { keep: true });
    show().then(settle);
  }

  // Put the sliders where the code is.
  function settle() {
    page.dimensions.forEach((dimension, i) => {
      const row = rows.get(dimension);
      if (!row) return;
      row.input.value = page.z[i];
      row.value.textContent = short(page.z[i]);
    });
    const chosen = controls.querySelector("select");
    if (chosen) chosen.value = String(page.label ?? 0);
  }

  const resized = new ResizeObserver(() => state.along !== undefined && page && traverse().catch(problem));
  resized.observe(root);
  show({ rebuild: true });

  return {
    update(next) {
      for (const name of ["z", "seed", "image", "label", "along"]) state[name] = next[name];
      moved = read(state.z);
      traversal.hidden = state.along === undefined;
      show().then(settle);
    },
    unmount() {
      resized.disconnect();
    },
  };
}

// "3:0.5,7:-1" -> the values of the dimensions that were moved.
function read(text) {
  const pairs = (text ?? "").split(",").map((pair) => pair.split(":").map(Number));
  return new Map(pairs.filter((pair) => pair.length === 2 && pair.every(Number.isFinite)));
}
