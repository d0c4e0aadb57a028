// Images side by side: as a list to choose from, with the arrow keys too, or drawn into one canvas.
import { bitmap, drawFromSheet, field, h, select } from "./kit.js";

// A list of images: tiles({name: "Test images", onchoose: (index) => …}) -> {element, show, mark}.
export function tiles({ name, side = 48, onchoose }) {
  const element = h("div", { class: "tiles", role: "listbox", "aria-label": name, "aria-orientation": "horizontal" });
  let options = [];
  let chosen = -1;

  // Show the images of a sheet, in the order of their places in it where that is given, each with a label in words;
  // `notes` are written below them.
  async function show(sheet, labels, notes = []) {
    const image = await bitmap(sheet.png);
    const wide = Math.round((side * sheet.width) / sheet.height);
    options = labels.map((label, index) => {
      const place = sheet.order?.[index] ?? index; // in the sheet
      const canvas = h("canvas", { width: wide, height: side, "aria-hidden": "true" });
      drawFromSheet(canvas.getContext("2d"), image, sheet, place, 0, 0, wide, side);
      const note = notes[index] ? h("small", { "aria-hidden": "true" }, notes[index]) : null;
      const properties = { type: "button", role: "option", "aria-label": label, title: label, tabindex: "-1" };
      const option = h("button", { ...properties, "aria-selected": "false", onclick: () => onchoose(index) }, canvas, note);
      option.addEventListener("keydown", (event) => move(event, index));
      return option;
    });
    element.replaceChildren(...options);
    mark(chosen);
  }

  function mark(index) {
    chosen = index;
    options.forEach((option, i) => {
      option.setAttribute("aria-selected", String(i === index));
      option.tabIndex = i === Math.max(0, Math.min(index, options.length - 1)) ? 0 : -1;
    });
  }

  function move(event, index) {
    const perRow = options.filter((option) => option.offsetTop === options[0].offsetTop).length;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -perRow, ArrowDown: perRow };
    const ends = { Home: 0, End: options.length - 1 };
    const next = event.key in ends ? ends[event.key] : index + (steps[event.key] ?? NaN);
    if (!(next >= 0 && next < options.length)) return;
    event.preventDefault();
    options[index].tabIndex = -1;
    options[next].tabIndex = 0;
    options[next].focus();
  }

  return { element, show, mark };
}

// Test images to choose one from, by class, page by page, by number or at random.
export function picker({ ask, model, problem, onchoose, count = 40 }) {
  const list = tiles({ name: "Test images", onchoose: (index) => onchoose(found.numbers[index]) });
  const classes = h("span", { class: "contents" });
  const where = h("output", { class: "note" });
  const number = h("input", { type: "number", min: "0", class: "number", onchange: () => byNumber(number.value) });
  const back = h("button", { type: "button", onclick: () => turn(-count) }, "Previous");
  const on = h("button", { type: "button", onclick: () => turn(count) }, "Next");
  const random = h("button", { type: "button", onclick: () => atRandom() }, "Random");
  const controls = h("div", { class: "controls" }, classes, field("Number", number), random, back, on, where);
  const element = h("div", { class: "picker" }, controls, list.element);
  let found = null;
  let label = null;
  let offset = 0;
  let current = null;

  async function load() {
    try {
      const answer = await ask.latest("images", { model, label, offset, count }, `images-${model}`);
      if (!answer) return;
      found = answer;
    } catch (error) {
      controls.replaceChildren();
      list.element.hidden = true;
      problem(error);
      return;
    }
    back.disabled = offset === 0;
    on.disabled = offset + count >= found.total;
    const last = offset + found.numbers.length;
    where.textContent = `${(offset + 1).toLocaleString("en")} to ${last.toLocaleString("en")} of ${found.total.toLocaleString("en")}`;
    if (!classes.hasChildNodes() && found.present.length > 1) {
      const options = [["", "all"], ...found.present.map((one) => [one, found.classes[one] ?? one])];
      classes.append(field("Class", select(options, "", (value) => choose(value === "" ? null : Number(value)))));
    }
    await list.show(found.sheet, found.numbers.map(words));
    mark(current);
  }

  const words = (number, index) =>
    `Test image ${number}${found.labels ? `, ${found.classes[found.labels[index]] ?? found.labels[index]}` : ""}`;

  function choose(value) {
    [label, offset] = [value, 0];
    load();
  }

  function turn(step) {
    offset = Math.max(0, offset + step);
    load();
  }

  function byNumber(text) {
    if (/^\d+$/.test(text)) onchoose(Number(text));
  }

  // Any of the class that is shown, without fetching it first.
  async function atRandom() {
    if (!found) return;
    const place = Math.floor(Math.random() * found.total);
    try {
      onchoose((await ask("images", { model, label, offset: place, count: 1 })).numbers[0]);
    } catch (error) {
      problem(error);
    }
  }

  // Show which image is chosen; null: none.
  function mark(value) {
    current = value;
    number.value = value ?? "";
    list.mark(found ? found.numbers.indexOf(value) : -1);
  }

  load();
  return { element, mark, atRandom };
}

// Draw a sheet into a canvas with gaps, `columns` images a row, as wide as the canvas is shown.
export async function drawGrid(canvas, sheet, columns, { first = 0, count = sheet.count, gap = 2 } = {}) {
  const image = await bitmap(sheet.png);
  const rows = Math.ceil(count / columns);
  const wide = columns * sheet.width + (columns - 1) * gap;
  const scale = Math.max(1, Math.floor(((canvas.parentElement?.clientWidth || 600) * (window.devicePixelRatio || 1)) / wide));
  const [w, hgt, space] = [sheet.width * scale, sheet.height * scale, gap * scale];
  canvas.width = columns * (w + space) - space;
  canvas.height = rows * (hgt + space) - space;
  const context = canvas.getContext("2d");
  for (let i = 0; i < count; i++) {
    drawFromSheet(context, image, sheet, first + i, (i % columns) * (w + space), Math.floor(i / columns) * (hgt + space), w, hgt);
  }
}
