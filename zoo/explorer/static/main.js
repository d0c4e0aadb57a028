// The page: the explorer over HTTP, with its state in the address.
import { start } from "./app.js";
import { connect, http } from "./ask.js";

const THEME = "zoo-theme";
let later;

const page = {
  views: null,
  load: (view) => import(`./views/${view}.js`),
  read: () => Object.fromEntries(new URLSearchParams(location.hash.slice(1))),
  write(state, keep) {
    clearTimeout(later);
    const write = (how) => {
      const address = `#${new URLSearchParams(state)}`;
      if (address !== location.hash) history[how](null, "", address);
    };
    if (keep) write("pushState");
    else later = setTimeout(() => write("replaceState"), 150); // browsers stop pages that do it at every move
  },
  watch(changed) {
    addEventListener("popstate", () => {
      clearTimeout(later);
      changed();
    });
  },
  theme() {
    let theme = null;
    try {
      theme = localStorage.getItem(THEME);
    } catch {} // the browser keeps nothing
    document.documentElement.style.colorScheme = theme ?? "";
    return theme;
  },
  keepTheme(theme) {
    document.documentElement.style.colorScheme = theme;
    try {
      localStorage.setItem(THEME, theme);
    } catch {} // the browser keeps nothing
  },
  title(words) {
    document.title = words;
  },
  lost: "The server does not answer. Is it still running? This page goes on by itself when it is back.",
};

const root = document.getElementById("explorer");
start(root, connect(http(root)), page);
