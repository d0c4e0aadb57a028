// One image, drawn, dropped, pasted or chosen, as every chosen model reconstructs and scores it.
import { drawing } from "../canvas.js";
import { bitmap, complain, field, h, pixels, select, sentence } from "../kit.js";
import { picker } from "../tiles.js";

export const title = "Compare";

const MAX_BYTES = 20 * 2 ** 20; // as on the server
const MAX_LINK = 20000; // characters of an image in the address
const MAX_MODELS = 8;

export function mount(root, { ask, state, setState, models, problem }) {
  const there = models.filter((one) => !one.unfinished).map((one) => one.name);
  const wrong = h("p", { class: "problem", role: "alert", hidden: true });
  const board = h("div", { class: "board" });
  const done = h("p", { class: "note", "aria-live": "polite" });
  const results = h("div", { class: "results" });
  const file = h("input", { type: "file", accept: "image/*", hidden: true, onchange: () => take(file.files[0]) });
  const options = h("div", { class: "controls" });
  const cases = h("fieldset", { class: "checks" }, h("legend", {}, "Models"));
  const tests = picker({ ask, model: state.model, problem: (error) => complain(wrong, error), onchoose: choose });
  const fold = (words, content) => h("details", { class: "fold" }, h("summary", {}, words), content);
  const folds = h("div", { class: "folds" }, fold("Test images", tests.element), fold("Options", options), fold("Models", cases));
  root.append(wrong, h("div", { class: "two compare" }, board, h("div", { class: "judged" }, done, results), folds));

  let canvas = null; // once the server has told the size of the model's images
  let content = null; // of the image, as base64; null: the test image of state.number, or nothing
  let drawn = false; // the content is a drawing, or an image as the model was given it already
  let known = null; // the last answer

  // The models of the state; without any, three that were trained on the same images.
  function chosen() {
    const named = state.models ? state.models.split(",").filter((name) => there.includes(name)) : (known?.alike ?? []).slice(0, 3);
    return [...new Set([state.model, ...named])].slice(0, MAX_MODELS);
  }

  const tri = { yes: true, no: false };

  function parameters() {
    const given = content !== null ? { file: content, drawn } : state.number !== undefined ? { number: Number(state.number) } : {};
    return {
      models: chosen(),
      ...given,
      fit: state.fit ?? null,
      invert: tri[state.invert] ?? null,
      grey: state.grey === "yes",
      label: state.label === undefined ? null : Number(state.label),
    };
  }

  // Ask for what the models make of the image; `settled`: it stays for now, so put it into the address.
  async function judge(settled) {
    try {
      const answer = await ask.latest("compare", parameters(), "compare");
      if (!answer) return;
      complain(wrong, null);
      known = answer;
      if (!canvas) build(answer);
      show(answer);
      if (settled) remember(answer);
    } catch (error) {
      complain(wrong, error);
      if (!canvas && content === null) problem(error);
    }
  }

  function build(answer) {
    const [channels, height, width] = answer.shape;
    canvas = drawing({ height, width, bright: (answer.background ?? 0) > 0.5, onchange: stroke });
    const brush = h("input", {
      type: "range", min: "1", max: String(Math.max(4, Math.round(Math.max(height, width) / 4))), value: String(canvas.brush()),
      oninput: () => canvas.brush(Number(brush.value)),
    });
    const ink = h("input", { type: "color", value: canvas.ink(), oninput: () => canvas.ink(ink.value) });
    const button = (text, onclick) => h("button", { type: "button", onclick }, text);
    board.append(
      canvas.element,
      h("div", { class: "controls" }, button("Clear", clear), button("Undo", () => canvas.undo()),
        button("Choose a file", () => file.click()), button("Random test image", () => tests.atRandom()), file),
      h("div", { class: "controls" }, field("Pen", brush), channels === 3 ? field("Colour", ink) : null),
      h("p", { class: "note" }, `Draw here, or drop or paste an image. The model's images are ${answer.words}.`),
    );
    options.append(
      field("Other proportions", select(
        [["", "as in training"], ["crop", "cut to the middle"], ["pad", "pad with black"], ["stretch", "stretch"]],
        state.fit ?? "", (value) => option("fit", value))),
      field("Invert", select([["", "if the background asks for it"], ["yes", "yes"], ["no", "no"]], state.invert ?? "",
        (value) => option("invert", value))),
    );
    if (channels === 3) options.append(field("Grey", select([["", "no"], ["yes", "yes"]], state.grey ?? "", (value) => option("grey", value))));
    for (const name of there) {
      const box = h("input", { type: "checkbox", checked: chosen().includes(name), disabled: name === state.model, onchange: recount });
      box.dataset.name = name;
      cases.append(h("label", {}, box, name));
    }
  }

  function recount(event) {
    const names = [...cases.querySelectorAll("input:checked")].map((box) => box.dataset.name);
    if (names.length > MAX_MODELS) {
      event.target.checked = false;
      complain(wrong, `At most ${MAX_MODELS} models are compared at once`);
      return;
    }
    change({ models: names.join(",") });
    judge(true);
  }

  function change(changes) {
    for (const [name, value] of Object.entries(changes)) {
      if (value === null) delete state[name];
      else state[name] = String(value);
    }
    setState(changes);
  }

  function option(name, value) {
    if (value === "") delete state[name];
    else state[name] = value;
    judge(true);
  }

  function stroke(ended) {
    [content, drawn] = [canvas.empty() ? null : canvas.pixels().split(",")[1], true];
    for (const name of ["number", "fit", "invert", "grey"]) delete state[name];
    tests.mark(null);
    if (content !== null) judge(ended);
    else if (ended) clear();
  }

  function clear() {
    content = null;
    change({ number: null, image: null, fit: null, invert: null, grey: null });
    tests.mark(null);
    if (canvas && !canvas.empty()) canvas.put(null);
    judge(false);
  }

  function choose(number) {
    content = null;
    change({ number, image: null });
    judge(true);
  }

  // Take a file that was dropped, pasted or chosen.
  async function take(blob) {
    if (!blob) return;
    if (blob.size > MAX_BYTES) {
      const size = Math.round(blob.size / 2 ** 20).toLocaleString("en");
      complain(wrong, `This file has ${size} MiB, and at most ${MAX_BYTES / 2 ** 20} are read; make the image smaller`);
      return;
    }
    if (!blob.size) return complain(wrong, "This file is empty");
    const address = await new Promise((resolve) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result);
      reader.readAsDataURL(blob);
    });
    [content, drawn] = [address.slice(address.indexOf(",") + 1), false];
    for (const name of ["fit", "invert", "grey"]) delete state[name];
    change({ number: null, image: null });
    tests.mark(null);
    file.value = "";
    judge(true);
  }

  // Put the image into the address: its number, or the pixels that the model was given.
  function remember(answer) {
    const first = answer.models[0];
    if (content === null) {
      setState({ number: state.number ?? null, image: null, fit: state.fit ?? null, invert: state.invert ?? null, grey: state.grey ?? null });
      return;
    }
    const image = first?.seen?.split(",")[1].replaceAll("+", "-").replaceAll("/", "_") ?? "";
    const short = image && image.length <= MAX_LINK;
    state.image = short ? image : undefined;
    setState({ number: null, image: short ? image : null, fit: null, invert: null, grey: null });
  }

  async function show(answer) {
    const first = answer.models[0];
    if (first?.seen && !drawn) canvas.put(await bitmap(first.seen));
    if (content === null && state.number !== undefined) tests.mark(Number(state.number));
    const size = known.models.length;
    done.textContent = size ? "" : "Draw a digit, or whatever the models were trained on, and they reconstruct it while you draw.";
    const verdicts = await Promise.all(answer.models.map(verdict));
    results.replaceChildren(...verdicts);
    results.dataset.count = String(size);
  }

  function verdict(one) {
    const head = h("h2", {}, one.name);
    if (one.missing) return h("section", { class: "verdict" }, head, h("p", { class: "note" }, sentence(one.missing)));
    const shown = [["seen", "given"], ["reconstruction", "reconstruction"], ["error", "error, 0 (black) to 1"]].map(([key, words]) => {
      const image = pixels(`${one.name}: ${words}`, 96);
      image.src = one[key];
      return h("figure", {}, image, h("figcaption", {}, words));
    });
    const rows = one.scores.map((score) =>
      h("tr", {}, h("th", { scope: "row" }, score.heading), h("td", {}, score.text), h("td", {}, rank(score.above))));
    const notes = [];
    if (one.class !== null) notes.push(one.chosen ? `As class ${one.class}, which explains it best` : `As class ${one.class}`);
    if (one.steps.length && !(drawn && one.name === state.model)) notes.push(`${one.words}: ${one.steps.join(", ")}`);
    return h(
      "section",
      { class: "verdict" },
      head,
      h("div", { class: "trio" }, ...shown),
      h("table", { class: "scores" }, h("caption", { class: "unseen" }, `Anomaly scores of ${one.name}`), h("tbody", {}, ...rows)),
      ...notes.map((note) => h("p", { class: "note" }, sentence(note))),
    );
  }

  const rank = (above) => (above === null ? "" : `above ${Math.round(100 * above)} % of test images`);

  // Show the image of the state, which a link may have brought.
  async function restore() {
    content = null;
    drawn = false;
    if (!known) await judge(false); // tells which models are alike
    if (state.image) [content, drawn] = [state.image.replaceAll("-", "+").replaceAll("_", "/"), true];
    await judge(false);
    if (content !== null && canvas && known?.models[0]?.seen) canvas.put(await bitmap(known.models[0].seen));
  }

  const drop = (event) => {
    event.preventDefault();
    root.classList.remove("dropping");
    const dropped = event.dataTransfer.files[0];
    if (dropped) take(dropped);
    else complain(wrong, "Drop an image file here, not a link or text");
  };
  const over = (event) => {
    event.preventDefault();
    root.classList.add("dropping");
  };
  const away = () => root.classList.remove("dropping");
  const paste = (event) => {
    const pasted = [...event.clipboardData.files][0];
    const elsewhere = event.target !== document.body && !root.contains(event.target); // as in a notebook's cell
    if (!pasted || elsewhere) return;
    event.preventDefault();
    take(pasted);
  };
  root.addEventListener("drop", drop);
  root.addEventListener("dragover", over);
  root.addEventListener("dragleave", away);
  document.addEventListener("paste", paste);
  restore();
  return {
    update(next) {
      for (const name of Object.keys(state)) delete state[name];
      Object.assign(state, next);
      restore();
    },
    unmount() {
      root.removeEventListener("drop", drop);
      root.removeEventListener("dragover", over);
      root.removeEventListener("dragleave", away);
      document.removeEventListener("paste", paste);
      away();
    },
  };
}
