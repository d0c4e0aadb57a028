// The curves of a training and its reconstructions, as they come.
import { chart } from "../chart.js";
import { h, select, sentence } from "../kit.js";
import { drawGrid } from "../tiles.js";

export const title = "Training";

const SECONDS = 2; // from one look to the next

export function mount(root, { ask, state, setState, problem, reload }) {
  const status = h("p", { class: "status", role: "status" });
  const controls = h("div", { class: "controls" });
  const curves = chart();
  const strip = h("canvas", { class: "strip", role: "img", hidden: true });
  const epochs = h("ol", { class: "epochs" });
  const none = h("p", { class: "note" });
  root.append(
    status,
    controls,
    curves.element,
    h("h2", {}, "Reconstructions"),
    none,
    h("div", { class: "snapshots" }, epochs, h("div", { class: "scroll" }, strip)),
  );
  let timer = null;
  let gone = false;
  let snapshots = 0;
  let before = null; // the last answer

  async function look() {
    let again = true;
    try {
      const answer = await ask("training", { model: state.model, snapshots });
      if (gone) return;
      problem(null);
      if (before && !before.finished && answer.finished) {
        reload(); // the other views have a model now
        return;
      }
      again = !answer.finished;
      await show(answer);
      before = answer;
    } catch (error) {
      if (gone) return;
      problem(error);
    }
    if (again && !gone) timer = setTimeout(look, 1000 * SECONDS);
  }

  async function show(answer) {
    status.textContent = words(answer);
    status.dataset.epoch = String(answer.epoch);
    if (answer.curves) {
      const { terms } = answer.curves;
      const term = terms.includes(state.term) ? state.term : "loss";
      if (terms.length > 1 && controls.childElementCount !== 1) {
        const choose = select(terms.map((name) => [name, name.replaceAll("_", " ")]), term, (name) => {
          state.term = name;
          setState({ term: name === "loss" ? null : name });
          draw(before);
        });
        controls.replaceChildren(h("label", { class: "field" }, h("span", {}, "Term"), choose));
      }
      draw(answer);
    }
    if (answer.no_snapshots) none.textContent = sentence(answer.no_snapshots);
    if (!answer.snapshots) return;
    none.textContent = "Test images, and below them their reconstructions after more and more epochs.";
    snapshots = answer.snapshots.epochs.length;
    strip.hidden = false;
    const { sheet } = answer.snapshots;
    strip.setAttribute("aria-label", `${sheet.columns} test images above their reconstructions after ${answer.snapshots.epochs.join(", ")} epochs`);
    await drawGrid(strip, sheet, sheet.columns);
    epochs.replaceChildren(...["images", ...answer.snapshots.epochs.map((epoch) => `epoch ${epoch}`)].map((text) => h("li", {}, text)));
  }

  function draw(answer) {
    const { terms, values, epochs: at } = answer.curves;
    const term = terms.includes(state.term) ? state.term : "loss";
    const lines = Object.entries(values).map(([split, of]) => ({ name: split, values: of[term] }));
    curves.show(at, lines, `${term.replaceAll("_", " ")}${answer.unit ? `, ${answer.unit}` : ""}`);
  }

  function words(answer) {
    const of = answer.epochs ? ` of ${answer.epochs.toLocaleString("en")}` : "";
    const last = answer.epoch.toLocaleString("en");
    if (answer.finished) return `The run has ended after epoch ${last}.`;
    if (!answer.epoch) return `No epoch has ended yet${answer.epochs ? `; there will be ${answer.epochs.toLocaleString("en")}` : ""}.`;
    const left = answer.left === null ? "" : ` About ${spoken(answer.left)} are left.`;
    const silent = answer.silent === null ? "" : ` The last ended ${spoken(answer.silent)} ago.`;
    return `Epoch ${last}${of} has ended.${silent}${left}`;
  }

  look();
  return {
    update(next) {
      for (const name of Object.keys(state)) delete state[name];
      Object.assign(state, next);
      if (before) show(before);
    },
    unmount() {
      gone = true;
      clearTimeout(timer);
    },
  };
}

function spoken(seconds) {
  for (const [size, unit] of [[3600, "hours"], [60, "minutes"]]) {
    if (seconds >= 2 * size) return `${Math.round(seconds / size)} ${unit}`;
  }
  return `${Math.round(seconds)} seconds`;
}
