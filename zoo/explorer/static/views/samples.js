// Samples of the prior or of one class, with a temperature.
import { field, h, select, sentence } from "../kit.js";
import { drawGrid } from "../tiles.js";

export const title = "Samples";

export function mount(root, { ask, state, setState, problem }) {
  const canvas = h("canvas", { class: "strip", role: "img" });
  const temperature = h("input", {
    type: "range", min: "0", max: "2", step: "0.05", value: state.temperature ?? "1",
    oninput: () => change({ temperature: temperature.value === "1" ? null : temperature.value }),
  });
  const degree = h("output", { class: "code" });
  const seed = h("input", {
    type: "number", class: "number", min: "0", max: String(2 ** 31 - 1), value: state.seed ?? "0",
    onchange: () => change({ seed: seed.value || null }, true),
  });
  const resample = h("button", { type: "button", class: "primary", onclick: () => {
    seed.value = String(Math.floor(Math.random() * 2 ** 31));
    change({ seed: seed.value }, true);
  } }, "Resample");
  const count = select([20, 50, 100].map((n) => [n, n]), state.count ?? 50, (value) => change({ count: value === "50" ? null : value }));
  const classes = h("span", { class: "contents" });
  const source = h("p", { class: "note", "aria-live": "polite" });
  const notes = h("p", { class: "note" });
  root.append(
    h("div", { class: "controls" }, resample, field("Temperature", temperature), degree, classes, field("Images", count), field("Seed", seed)),
    source,
    h("div", { class: "scroll" }, canvas),
    notes,
  );

  function change(changes, keep = false) {
    for (const [name, value] of Object.entries(changes)) {
      if (value === null) delete state[name];
      else state[name] = value;
    }
    setState(changes, { keep });
    load();
  }

  async function load() {
    degree.textContent = Number(state.temperature ?? 1).toFixed(2);
    try {
      const answer = await ask.latest("samples", {
        model: state.model,
        temperature: Number(state.temperature ?? 1),
        seed: Number(state.seed ?? 0),
        count: Number(state.count ?? 50),
        label: state.label === undefined ? null : Number(state.label),
      });
      if (!answer) return;
      problem(null);
      source.textContent = sentence(`Images of ${answer.source}`);
      canvas.setAttribute("aria-label", `${answer.sheet.count} samples: images of ${answer.source}`);
      temperature.disabled = answer.no_temperature !== null;
      notes.textContent = [answer.no_classes, answer.no_temperature].filter(Boolean).join(" ");
      if (answer.classes.length) {
        const options = [["", "all"], ...answer.classes.map(({ label, name }) => [label, name])];
        if (!classes.hasChildNodes()) classes.append(field("Class", select(options, state.label ?? "", (label) => change({ label: label || null }))));
        classes.querySelector("select").value = state.label ?? "";
      }
      await drawGrid(canvas, answer.sheet, root.clientWidth < 600 ? 5 : 10);
      canvas.dataset.drawn = `${state.seed ?? 0} ${state.temperature ?? 1} ${state.label ?? ""}`;
    } catch (error) {
      problem(error);
    }
  }

  load();
  return {
    update(next) {
      for (const name of Object.keys(state)) delete state[name];
      Object.assign(state, next);
      temperature.value = state.temperature ?? "1";
      seed.value = state.seed ?? "0";
      count.value = state.count ?? "50";
      load();
    },
  };
}
