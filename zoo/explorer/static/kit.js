// What the views share: elements, images, colours, and a way to say what went wrong.

// h("button", {class: "quiet", onclick: f}, "Reset") -> element. Properties that begin with "on" are listeners, those
// of `style` are set one by one (the page's policy allows no style attributes), all others are attributes.
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, v] of Object.entries(value)) element.style.setProperty(key, v);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// A label with its control: field("Class", select).
export const field = (text, control) => h("label", { class: "field" }, h("span", {}, text), control);

// A <select> of [value, text] pairs.
export function select(options, value, onchange) {
  const element = h("select", { onchange: () => onchange(element.value) });
  for (const [key, text] of options) element.append(h("option", { value: key, selected: String(key) === String(value) }, text));
  return element;
}

// An <img> that is shown in whole multiples of its pixels, without smoothing.
export const pixels = (alt, side = 224) =>
  h("img", { class: "pixels", alt, width: side, height: side, draggable: "false" });

// Load the image of a data address; resolves to something that a canvas can draw.
export async function bitmap(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  return image;
}

// Draw one image of a sheet, as the server sends many images, into a canvas's context.
export function drawFromSheet(context, image, sheet, index, x, y, width, height) {
  const column = index % sheet.columns;
  const row = Math.floor(index / sheet.columns);
  context.imageSmoothingEnabled = false;
  context.drawImage(image, column * sheet.width, row * sheet.height, sheet.width, sheet.height, x, y, width, height);
}

// The colours of classes: Paul Tol's muted scheme, the dark ones lighter on a dark page.
const LIGHT = ["#332288", "#3f97c4", "#117733", "#a8871d", "#cc6677", "#aa4499", "#2c8f82", "#882255", "#7d7d1f", "#222222"];
const DARK = ["#9a8cf0", "#88ccee", "#4fbf74", "#ddcc77", "#f08a99", "#d97fc8", "#5fd0bf", "#d9679a", "#c4c45a", "#e6e6e6"];
export const classColour = (label, element) => (isDark(element) ? DARK : LIGHT)[label % 10];

// Draw the mark of a class: neighbouring classes differ in shape as well as in colour.
export function mark(context, label, x, y, r) {
  context.beginPath();
  const corners = [0, 4, 4, 3, 3, 5][(label + Math.floor(label / 10)) % 6];
  if (corners === 0) context.arc(x, y, r, 0, 2 * Math.PI);
  else {
    const turn = [0, Math.PI / 4, 0, Math.PI / 6, -Math.PI / 6, -Math.PI / 2][(label + Math.floor(label / 10)) % 6];
    for (let i = 0; i < corners; i++) {
      const angle = turn + (2 * Math.PI * i) / corners;
      context.lineTo(x + 1.2 * r * Math.cos(angle), y + 1.2 * r * Math.sin(angle));
    }
  }
  context.fill();
}

// True where an element is shown on dark ground.
export const isDark = (element) => getComputedStyle(element).getPropertyValue("--dark").trim() === "1";

// The value of one of the style sheet's variables: colour(canvas, "--accent").
export const colour = (element, name) => getComputedStyle(element).getPropertyValue(name).trim();

// Show an error where the user looks; an empty message clears it.
export function complain(element, error) {
  element.textContent = error ? sentence(error.message ?? String(error)) : "";
  element.hidden = !error;
}

// A message as a sentence: a capital at the start, a full stop at the end.
export function sentence(text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

// Numbers as people read them.
export const short = (value, digits = 2) => Number(value).toFixed(digits).replace("-", "\u2212");

// "0.5,-1" -> [0.5, -1], or null where the text holds anything else.
export function numbers(text) {
  if (!text) return null;
  const values = text.split(",").map(Number);
  return values.every(Number.isFinite) ? values : null;
}
