// The vectors of a codebook, and the image of a code in which some are exchanged.
import { h, pixels, sentence } from "../kit.js";
import { picker, tiles } from "../tiles.js";

export const title = "Codebook";

export function mount(root, { ask, state, setState, problem }) {
  const names = { image: "test image", reconstruction: "its reconstruction", changed: "with the vectors put in" };
  const shown = Object.fromEntries(Object.entries(names).map(([key, words]) => [key, pixels(`The ${words}`, 160)]));
  const figures = Object.entries(names).map(([key, words]) => h("figure", {}, shown[key], h("figcaption", {}, words)));
  const grid = h("div", { class: "grid", role: "grid", "aria-label": "The code: the number of the vector at each place" });
  const palette = tiles({ name: "Vectors of the codebook, the most used first", side: 40, onchoose: (index) => hold(order[index]) });
  const held = h("p", { class: "note", "aria-live": "polite" });
  const use = h("p", { class: "note" });
  const reset = h("button", { type: "button", onclick: () => change({ put: null }) }, "Reset the code");
  const images = picker({ ask, model: state.model, problem, onchoose: (number) => change({ number: String(number), put: null }) });
  root.append(
    h(
      "div",
      { class: "two" },
      h("div", {}, h("div", { class: "trio" }, ...figures), h("h2", {}, "Code"), held, grid, h("div", { class: "controls" }, reset)),
      h("div", {}, h("h2", {}, "Vectors"), use, h("div", { class: "palette" }, palette.element)),
    ),
    h("details", { class: "fold", open: true }, h("summary", {}, "Test images"), images.element),
  );
  let order = []; // the vectors as the palette shows them
  let vector = null; // the one that is put in next
  let code = null;

  // "3:17,40:2" <-> {3: 17, 40: 2}
  const put = () => Object.fromEntries((state.put ?? "").split(",").filter((pair) => /^\d+:\d+$/.test(pair)).map((pair) => pair.split(":").map(Number)));

  function change(changes) {
    for (const [name, value] of Object.entries(changes)) {
      if (value === null) delete state[name];
      else state[name] = value;
    }
    setState(changes);
    load();
  }

  function hold(chosen) {
    vector = chosen;
    palette.mark(order.indexOf(chosen));
    held.textContent = `Vector ${chosen} is put where you press in the code.`;
  }

  async function load() {
    try {
      const found = await ask.latest("codebook", { model: state.model, number: Number(state.number ?? 0), put: put() });
      if (!found) return;
      code = found;
      problem(null);
    } catch (error) {
      problem(error);
      return;
    }
    for (const key of Object.keys(names)) shown[key].src = code[key];
    images.mark(Number(state.number ?? 0));
    reset.disabled = !state.put;
    draw();
  }

  function draw() {
    const changed = put();
    const { rows, columns, indices } = code;
    if (grid.children.length !== rows || grid.firstChild?.children.length !== columns) {
      grid.replaceChildren(
        ...Array.from({ length: rows }, (_, row) =>
          h("div", { role: "row" }, ...Array.from({ length: columns }, (_, column) => cell(row * columns + column)))),
      );
    }
    [...grid.querySelectorAll("button")].forEach((button, place) => {
      button.textContent = String(indices[place]);
      button.classList.toggle("changed", place in changed);
      const where = `row ${Math.floor(place / columns) + 1}, column ${(place % columns) + 1}`;
      button.setAttribute("aria-label", `${where}: vector ${indices[place]}${place in changed ? ", put in" : ""}`);
    });
  }

  function cell(place) {
    const button = h("button", { type: "button", tabindex: place ? "-1" : "0" });
    button.addEventListener("click", () => {
      if (vector === null) held.textContent = "Choose a vector first: it is put where you press in the code.";
      else change({ put: Object.entries({ ...put(), [place]: vector }).map((pair) => pair.join(":")).join(",") });
    });
    button.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -code.columns, ArrowDown: code.columns }[event.key];
      const next = [...grid.querySelectorAll("button")][place + (step ?? NaN)];
      if (!next) return;
      event.preventDefault();
      button.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
    return h("div", { role: "gridcell" }, button);
  }

  async function vectors() {
    use.textContent = "Decoding the vectors…";
    try {
      const found = await ask("codebook", { model: state.model });
      const count = found.vectors.count;
      order = Array.from({ length: count }, (_, k) => k);
      if (found.use) order.sort((a, b) => found.use[b] - found.use[a]);
      const percent = (k) => `${(100 * found.use[k]).toFixed(1)} %`;
      const used = found.use?.filter((share) => share > 0).length;
      use.textContent = found.use
        ? `Each is shown as the image of a code that holds nothing else. ${used} of ${count} are used by the first ${found.images.toLocaleString("en")} test images; below each its share.`
        : sentence(`each is shown as the image of a code that holds nothing else; how often they are used is not known, since the test images are not here`);
      const cells = order.map((k) => `Vector ${k}${found.use ? `, used for ${percent(k)}` : ""}`);
      await palette.show({ ...found.vectors, order }, cells, order.map((k) => (found.use ? percent(k) : String(k))));
      hold(order[0]);
    } catch (error) {
      problem(error);
    }
  }

  load();
  vectors();
  return {
    update(next) {
      for (const name of Object.keys(state)) delete state[name];
      Object.assign(state, next);
      load();
    },
  };
}
