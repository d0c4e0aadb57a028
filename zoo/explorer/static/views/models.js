// The trained entries and the open models, with the test figures of their cards.
import { field, h, select } from "../kit.js";

export const title = "Models";

export function mount(root, { ask, state, setState, problem }) {
  const controls = h("div", { class: "controls" });
  const said = h("p", { class: "note", role: "status" });
  const table = h("table", { class: "leaderboard" });
  const region = h("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Models and their test figures" }, table);
  root.append(controls, region, said);
  let answer = null;

  async function load() {
    try {
      answer = await ask("models");
    } catch (error) {
      problem(error);
      return;
    }
    const named = (key) => [["", "all"], ...[...new Set(answer.rows.map((row) => row[key]))].sort().map((name) => [name, name])];
    const all = h("input", { type: "checkbox", checked: state.columns === "all", onchange: () => change({ columns: all.checked ? "all" : null }) });
    controls.append(
      field("Data", select(named("data"), state.data ?? "", (value) => change({ data: value || null }))),
      field("Variant", select(named("variant"), state.variant ?? "", (value) => change({ variant: value || null }))),
      h("label", { class: "field" }, all, h("span", {}, "all figures")),
    );
    draw();
  }

  function change(changes) {
    for (const [name, value] of Object.entries(changes)) {
      if (value === null) delete state[name];
      else state[name] = value;
    }
    setState(changes);
    draw();
  }

  function draw() {
    const rows = answer.rows.filter((row) => [undefined, row.data].includes(state.data) && [undefined, row.variant].includes(state.variant));
    const columns = answer.columns.filter((one) => (state.columns === "all" || one.main) && rows.some((row) => one.name in row.values));
    const head = [
      heading("name", "model", false),
      h("th", { scope: "col" }, "data"),
      ...columns.map((one) => heading(one.name, one.heading, true, one)),
    ];
    const sorted = order(rows);
    table.replaceChildren(
      h("caption", { class: "unseen" }, "Models and the test figures of their cards"),
      h("thead", {}, h("tr", {}, ...head)),
      h("tbody", {}, ...sorted.map((row) => line(row, columns))),
    );
    const closed = rows.filter((row) => !row.open);
    const loadable = closed.find((row) => row.loadable);
    const hint = loadable ? ` A model without a link is not open here: zoo explore ${loadable.name} opens it.` : "";
    const likelihoods = " Figures in nats are comparable only where the column data says the same.";
    said.textContent = rows.length
      ? `${rows.length} of ${answer.rows.length} models.${likelihoods}${hint}`
      : "No model has these data and this variant; choose all for one of them.";
  }

  // A header that sorts: the best first, then the other way round.
  function heading(name, words, number, column = {}) {
    const [by, down] = [state.sort, state.down === "yes"];
    const sort = by === name ? (down ? "descending" : "ascending") : "none";
    const mark = { ascending: " ▲", descending: " ▼", none: "" }[sort];
    const downFirst = column.better === "higher";
    const next = by === name ? !down : downFirst;
    const button = h("button", { type: "button", title: column.means || null, onclick: () => change({ sort: name, down: next ? "yes" : null }) }, words, h("span", { "aria-hidden": "true" }, mark));
    return h("th", { scope: "col", "aria-sort": sort, class: number ? "figure" : null }, button);
  }

  function order(rows) {
    if (!state.sort) return rows;
    const way = state.down === "yes" ? -1 : 1;
    const value = (row) => (state.sort === "name" ? row.name : row.values[state.sort]);
    return [...rows].sort((a, b) => {
      const [p, q] = [value(a), value(b)];
      if (p === undefined || q === undefined) return (p === undefined) - (q === undefined); // those without one last
      return way * (typeof p === "string" ? p.localeCompare(q, "en", { numeric: true }) : p - q);
    });
  }

  function line(row, columns) {
    const name = row.open ? h("a", { href: `#${new URLSearchParams({ model: row.name })}` }, row.name) : row.name;
    const cells = columns.map((one) => h("td", { class: "figure" }, row.texts[one.name] ?? ""));
    return h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, row.kind), ...cells);
  }

  load();
  return {
    update(next) {
      for (const name of Object.keys(state)) delete state[name];
      Object.assign(state, next);
      if (answer) draw();
    },
  };
}
