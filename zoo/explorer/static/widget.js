// The widget: the explorer in a notebook, over messages to the kernel. Bundled with what it imports into one module.
import { start } from "./app.js";
import { connect } from "./ask.js";
import { h } from "./kit.js";
import * as codebook from "./views/codebook.js";
import * as interpolation from "./views/interpolation.js";
import * as map from "./views/map.js";
import * as samples from "./views/samples.js";
import * as sliders from "./views/sliders.js";

// The views of models. Those left out compare image files, runs in training and tables, which a notebook has cells for.
const VIEWS = { map, sliders, interpolation, samples, codebook };

// The time without an answer after which the kernel counts as lost, in milliseconds.
const PATIENCE = 5000;

export function render({ model, el }) {
  const root = h("div", { class: "zoo" });
  const style = document.createElement("style");
  style.textContent = model.get("style_sheet");
  el.attachShadow({ mode: "open" }).append(style, root); // where neither's rules reach the other
  // Keys are meant for the widget while it has the focus, and not for the notebook's shortcuts.
  el.setAttribute("data-lm-suppress-shortcuts", "true");
  el.addEventListener("keydown", (event) => event.stopPropagation());
  const messages = exchange(model, root);
  const running = start(root, connect(messages.send), notebook());
  return () => {
    messages.stop();
    running.then((stop) => stop());
  };
}

// Questions as messages to the kernel. While it does not answer, `root` gets the events "lost" and then "back".
function exchange(model, root) {
  const mine = Math.random(); // other views of the same widget get the same messages
  const waiting = new Map();
  let count = 0;

  function receive(message) {
    const question = waiting.get(message.id);
    if (!question) return;
    waiting.delete(message.id);
    clearTimeout(question.timer);
    root.dispatchEvent(new CustomEvent("back"));
    if (message.error === undefined) question.resolve(message.answer);
    else question.reject(new Error(message.error));
  }
  model.on("msg:custom", receive);

  return {
    send: (view, parameters) =>
      new Promise((resolve, reject) => {
        const id = `${mine} ${++count}`;
        const timer = setTimeout(() => root.dispatchEvent(new CustomEvent("lost")), PATIENCE);
        waiting.set(id, { resolve, reject, timer });
        model.send({ id, view, parameters });
      }),
    stop() {
      model.off("msg:custom", receive);
      for (const { timer } of waiting.values()) clearTimeout(timer);
    },
  };
}

function notebook() {
  let kept = {};
  return {
    views: Object.keys(VIEWS),
    load: async (view) => VIEWS[view],
    read: () => kept,
    write(state) {
      kept = { ...state };
    },
    watch() {}, // a notebook has no history of its own
    theme,
    keepTheme() {},
    title() {},
    lost: "The kernel does not answer. It may be busy with another cell; if it was restarted, run the cell of this widget again.",
  };
}

// The theme of the notebook around: what JupyterLab or VS Code says, or else the ground of the page.
function theme() {
  const { jpThemeLight, vscodeThemeKind } = document.body.dataset;
  if (jpThemeLight) return jpThemeLight === "false" ? "dark" : "light";
  if (vscodeThemeKind) return vscodeThemeKind.includes("dark") ? "dark" : "light";
  const [r, g, b, alpha = 1] = getComputedStyle(document.body).backgroundColor.match(/[\d.]+/g).map(Number);
  if (alpha === 0) return null;
  return r + g + b < 384 ? "dark" : "light";
}
