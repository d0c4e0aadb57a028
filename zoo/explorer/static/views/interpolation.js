// Images along a path between the codes of two test images.
import { bitmap, drawFromSheet, field, h, pixels, select } from "../kit.js";
import { drawGrid, picker } from "../tiles.js";

export const title = "Interpolation";

// The images of the strip, which are fewer on a phone.
const stripOf = (root) => (root.clientWidth < 600 ? 5 : 9);

export function mount(root, { ask, state, setState, problem }) {
  const big = h("canvas", { class: "pixels", role: "img", width: "224", height: "224" });
  const slider = h("input", { type: "range", class: "wide", min: "0", max: "1", step: "1", "aria-label": "Place on the path" });
  const place = h("output", { class: "code" });
  const strip = h("canvas", { class: "strip", role: "img", "aria-label": "Images at equal steps of the path, from the first to the last" });
  const why = h("p", { class: "note" });
  const ends = ["first", "last"].map((name) => {
    const image = pixels(`The ${name} of the two test images`, 96);
    const words = h("span", { class: "note" });
    const button = h("button", { type: "button", class: "end", "aria-pressed": "false", onclick: () => aim(name) }, image, words);
    return { name, image, words, button };
  });
  const path = select(
    [["", "what suits the codes"], ["linear", "straight"], ["spherical", "great circle"]],
    state.path ?? "",
    (value) => change({ path: value || null }),
  );
  const swap = h("button", { type: "button", onclick: () => change({ first: state.last, last: state.first }) }, "Swap");
  const images = picker({ ask, model: state.model, problem, onchoose: choose });
  root.append(
    h(
      "div",
      { class: "two" },
      h(
        "div",
        {},
        h("div", { class: "between" }, ends[0].button, h("figure", {}, big, h("figcaption", {}, place)), ends[1].button),
        slider,
        h("div", { class: "scroll" }, strip),
        h("div", { class: "controls" }, field("Path", path), swap),
        why,
      ),
      h("div", {}, h("h2", {}, "Test images"), h("p", { class: "note" }, "Press one of the two images, then choose another for it."), images.element),
    ),
  );
  let target = "first";
  let answer = null;
  let sheet = null;

  const number = (name, otherwise) => (/^\d+$/.test(state[name] ?? "") ? Number(state[name]) : otherwise);

  function aim(name) {
    target = name;
    for (const end of ends) end.button.setAttribute("aria-pressed", String(end.name === name));
    images.mark(number(name, null));
  }

  function choose(value) {
    change({ [target]: String(value) });
  }

  function change(changes) {
    Object.assign(state, changes);
    for (const [name, value] of Object.entries(changes)) if (value === null) delete state[name];
    setState(changes);
    load();
  }

  async function load() {
    if (state.first === undefined || state.last === undefined) {
      Object.assign(state, { first: state.first ?? "0", last: state.last ?? "1" });
      setState({ first: state.first, last: state.last });
    }
    const parameters = { model: state.model, first: number("first", 0), last: number("last", 1), path: state.path ?? null };
    try {
      const found = await ask.latest("interpolation", parameters);
      if (!found) return;
      answer = found;
      sheet = await bitmap(answer.frames.png);
      problem(null);
    } catch (error) {
      problem(error);
      return;
    }
    ends.forEach((end, index) => {
      end.image.src = answer.originals[index];
      const name = answer.classes[index];
      end.words.textContent = `${end.name}: ${number(end.name, index)}${name === null ? "" : ` (${name})`}`;
    });
    aim(target);
    slider.max = String(answer.frames.count - 1);
    slider.value = String(Math.round(Number(state.at ?? 0.5) * (answer.frames.count - 1)));
    why.textContent = (answer.path === answer.suits ? answer.reason : other(answer)) + (answer.changes_class ? " The class changes in the middle." : "");
    path.value = state.path ?? "";
    show();
    const few = evenly(stripOf(root));
    await drawGrid(strip, few, few.count);
  }

  const other = ({ path, reason }) => `${path === "linear" ? "A straight line" : "A great circle"}, as asked for. What suits: ${reason.charAt(0).toLowerCase()}${reason.slice(1)}`;

  // A few of the images, at equal steps: the sheet has them, so they are cut from it.
  function evenly(count) {
    const { frames } = answer;
    const canvas = h("canvas", { width: count * frames.width, height: frames.height });
    const context = canvas.getContext("2d");
    for (let i = 0; i < count; i++) {
      const index = Math.round((i * (frames.count - 1)) / (count - 1));
      drawFromSheet(context, sheet, frames, index, i * frames.width, 0, frames.width, frames.height);
    }
    return { png: canvas.toDataURL(), columns: count, count, height: frames.height, width: frames.width };
  }

  function show() {
    const index = Number(slider.value);
    const share = index / (answer.frames.count - 1);
    drawFromSheet(big.getContext("2d"), sheet, answer.frames, index, 0, 0, big.width, big.height);
    place.textContent = `${Math.round(100 * share)} % of the way`;
    big.setAttribute("aria-label", `The image at ${Math.round(100 * share)} % of the way`);
    slider.setAttribute("aria-valuetext", place.textContent);
    big.dataset.index = String(index);
  }

  slider.addEventListener("input", () => {
    if (!answer) return;
    show();
    state.at = (Number(slider.value) / (answer.frames.count - 1)).toFixed(3);
    setState({ at: state.at });
  });
  load();
  return {
    update(next) {
      for (const name of Object.keys(state)) delete state[name];
      Object.assign(state, next);
      load();
    },
  };
}
