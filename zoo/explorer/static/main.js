// The page: the explorer over HTTP, with its state in the address.
import { start } from "./app.js";
import { connect, http } from "./ask.js";

const root = document.getElementById("explorer");
start(root, connect(http(root)));
