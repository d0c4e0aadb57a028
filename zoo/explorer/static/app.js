// The shell: the model, the tabs of its views, the theme, and the state in the address.
import { complain, field, h, select, sentence } from "./kit.js";

// The views in the order of their tabs, with the words on these; a view's module is fetched when it is shown.
const TABS = [
  ["map", "Map"],
  ["sliders", "Sliders"],
  ["interpolation", "Interpolation"],
  ["samples", "Samples"],
  ["codebook", "Codebook"],
  ["compare", "Compare"],
  ["training", "Training"],
  ["models", "Models"],
];

// Start the explorer in a place, which is a page (main.js) or a notebook (widget.js):
//   load(view) -> Promise of a view's module; views: the names of those that there are, or null for all
//   read() -> the state; write(state, keep) keeps it; watch(f) calls f when somebody else has changed it
//   theme() -> "dark", "light" or null for the system's; keepTheme(theme) keeps what was chosen
//   title(words) names the place; lost: the sentence where nobody answers
// Returns a function that ends it.
export async function start(root, ask, place) {
  const state = { ...place.read() };
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const lost = h("p", { class: "lost", role: "status", hidden: true });
  root.addEventListener("lost", () => {
    lost.hidden = false;
    lost.textContent = place.lost;
  });
  root.addEventListener("back", () => (lost.hidden = true));
  setTheme(root, place.theme());
  const main = h("main", { id: "view", role: "tabpanel", tabindex: "-1" });
  const tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Views" });
  const chooser = h("div", { class: "chooser" });
  const theme = h("button", { class: "quiet", onclick: () => place.keepTheme(switchTheme(root)) }, "Dark or light");
  const cards = h("section", { class: "cards", id: "cards", "aria-label": "Models", hidden: true });
  const browse = h("button", { "aria-expanded": "false", "aria-controls": "cards", onclick: () => openCards(cards.hidden) }, "Cards");
  root.append(h("header", {}, h("h1", {}, "zoo explorer"), chooser, browse, theme), cards, tabs, lost, problem, main);

  let mounted = null;
  let shown = {};
  let fits = {};
  let models = [];
  let turn = 0;

  // Change some of the state: a new entry in the browser's history for a new view or model, or where `keep` is true;
  // null takes a value out.
  function setState(changes, { keep = false } = {}) {
    Object.assign(state, changes);
    for (const [name, value] of Object.entries(state)) if (value === null || value === undefined) delete state[name];
    place.write(state, keep);
  }

  async function show() {
    const mine = ++turn;
    complain(problem, null);
    try {
      const names = models.map((one) => one.name);
      if (state.model && !names.includes(state.model)) {
        const missing = state.model;
        setState({ model: names[0] });
        complain(problem, `The model ${missing} is not open here; this is ${names[0]}`);
      }
      if (!state.model) setState({ model: names[0] });
      if (state.model !== shown.model) fits = (await ask("fits", { model: state.model })).views;
      if (mine !== turn) return;
      const there = TABS.map(([name]) => name).filter((name) => name in fits && (place.views?.includes(name) ?? true));
      if (!there.includes(state.view)) setState({ view: there.find((name) => fits[name] === null) ?? there[0] });
      const { view, model } = state;
      chooser.replaceChildren(
        field("Model", select(names.map((name) => [name, name]), model, (name) => go({ view: state.view, model: name }))),
      );
      drawTabs(there, view);
      if (mounted && shown.view === view && shown.model === model) {
        mounted.update?.({ ...state });
        return;
      }
      mounted?.unmount?.();
      mounted = null;
      shown = { view, model };
      main.replaceChildren();
      main.setAttribute("aria-labelledby", `tab-${view}`);
      place.title(`${model} · zoo explorer`);
      if (fits[view]) {
        main.append(h("p", { class: "note" }, sentence(fits[view])));
        return;
      }
      const module = await place.load(view);
      if (mine === turn) mounted = module.mount(main, { ask, state: { ...state }, setState, models, problem: report, reload });
    } catch (error) {
      complain(problem, error);
    }
  }

  const report = (error) => complain(problem, error);

  // Ask anew which views make sense, as when a run has ended meanwhile, and show the view once more.
  async function reload() {
    shown = {};
    try {
      models = (await ask("about")).models;
    } catch (error) {
      report(error);
    }
    await show();
  }

  function drawTabs(names, chosen) {
    const words = Object.fromEntries(TABS);
    const focused = tabs.contains(root.getRootNode().activeElement);
    tabs.replaceChildren(
      ...names.map((name) =>
        h(
          "button",
          {
            id: `tab-${name}`,
            role: "tab",
            class: fits[name] ? "unfit" : null,
            "aria-selected": String(name === chosen),
            "aria-controls": "view",
            tabindex: name === chosen ? "0" : "-1",
            onclick: () => go({ view: name, model: state.model }),
            onkeydown: (event) => {
              const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
              if (!step) return;
              event.preventDefault();
              const next = names[(names.indexOf(name) + step + names.length) % names.length];
              go({ view: next, model: state.model });
            },
          },
          words[name],
        ),
      ),
    );
    const current = tabs.querySelector('[aria-selected="true"]');
    if (focused) current?.focus();
    current?.scrollIntoView?.({ block: "nearest", inline: "nearest" });
  }

  // Show the cards of all models, each asked for in turn, or put them away.
  async function openCards(open) {
    cards.hidden = !open;
    browse.setAttribute("aria-expanded", String(open));
    if (!open) return;
    const empty = new Map();
    cards.replaceChildren();
    for (const { name } of models) {
      const choose = () => {
        openCards(false);
        go({ view: state.view, model: name });
        chooser.querySelector("select")?.focus();
      };
      const card = h("article", { class: name === state.model ? "card chosen" : "card" }, h("h3", {}, h("button", { onclick: choose }, name)));
      cards.append(card);
      empty.set(name, card);
    }
    cards.querySelector("button")?.focus();
    for (const [name, card] of empty) {
      if (cards.hidden || !card.isConnected) return;
      await ask("card", { model: name }).then((facts) => fill(card, name, facts), (error) => card.append(h("p", {}, sentence(error.message))));
    }
  }

  // Go to another view or model: what else is in the state belongs to the one that is left.
  function go(target) {
    for (const name of Object.keys(state)) delete state[name];
    setState(target, { keep: true });
    show();
  }

  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || cards.hidden) return;
    openCards(false);
    browse.focus();
  });
  place.watch(() => {
    for (const name of Object.keys(state)) delete state[name];
    Object.assign(state, place.read());
    show();
  });

  try {
    models = (await ask("about")).models;
    await show();
  } catch (error) {
    complain(problem, error);
  }
  return () => {
    turn += 1;
    mounted?.unmount?.();
  };
}

function fill(card, name, facts) {
  card.append(h("p", {}, facts.summary), h("p", { class: "facts" }, facts.facts.join(" · ")));
  if (facts.samples) card.append(h("img", { src: facts.samples.png, alt: `Images that ${name} draws` }));
  card.append(h("dl", {}, ...facts.figures.flatMap(([heading, value]) => [h("dt", {}, heading), h("dd", {}, value)])));
  if (facts.url) card.append(h("p", {}, h("a", { href: facts.url, rel: "noreferrer", target: "_blank" }, facts.paper || facts.url)));
  else if (facts.paper) card.append(h("p", { class: "facts" }, facts.paper));
}

function setTheme(root, theme) {
  root.classList.toggle("dark", theme === "dark");
  root.classList.toggle("light", theme === "light");
}

function switchTheme(root) {
  const dark = getComputedStyle(root).getPropertyValue("--dark").trim() === "1";
  const theme = dark ? "light" : "dark";
  setTheme(root, theme);
  root.dispatchEvent(new CustomEvent("theme"));
  return theme;
}
