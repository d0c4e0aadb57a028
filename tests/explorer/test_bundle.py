"""Several JavaScript modules as one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from zoo.explorer.bundle import bundle

MODULES = {
    "main.js": """// The entry.
import { double, Pair as Two } from "./lib/numbers.js";
import * as words from "./lib/words.js";

const secret = 1;
export function run() {
  return `${words.hello} ${double(new Two(2, secret).sum())}`;
}
export const name = "main";
""",
    "lib/numbers.js": """import {
  hello,
} from "./words.js";

const secret = 2;
export const double = (x) => secret * x;
export class Pair {
  constructor(a, b) {
    Object.assign(this, { a, b });
  }
  sum() {
    return this.a + this.b + hello.length;
  }
}
""",
    "lib/words.js": """export const hello = "import"; // a word that imports nothing
export async function later() {}
""",
}


def test_a_module_stands_behind_those_that_it_imports_and_once() -> None:
    text = bundle(MODULES, "main.js", "run")
    places = [text.index(f"// {path}\n") for path in ("lib/words.js", "lib/numbers.js", "main.js")]
    assert places == sorted(places)
    assert text.count("const hello =") == 1
    assert "return { double, Pair };" in text and "return { hello, later };" in text
    assert text.endswith("const { run, name } = $main_js;\nexport default run;\n")
    assert text == bundle(dict(reversed(MODULES.items())), "main.js", "run")


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_the_bundle_does_what_the_modules_do(tmp_path: Path) -> None:
    for path, text in MODULES.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "bundle.js").write_text(bundle(MODULES, "main.js", "{ run, name }"))
    code = """
import * as apart from "./main.js";
import together from "./bundle.js";
console.log(apart.run(), "|", together.run(), "|", together.name);
"""
    (tmp_path / "both.js").write_text(code)
    done = subprocess.run(["node", "both.js"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout == "import 18 | import 18 | main\n", done.stderr


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('import { x } from "./none.js";', "main.js imports none.js, and there is no such module"),
        ('import { x } from "../main.js";', r"main.js imports ../main.js, and there is no such module"),
        ('import { x } from "./main.js";', "main.js imports main.js, which is a circle"),
        ('import x from "./lib/words.js";', "a line that cannot be bundled: import x from"),
        ('import { x } from "https://x.org/y.js";', "a line that cannot be bundled: import { x } from"),
        ('import "./lib/words.js";', 'a line that cannot be bundled: import "./lib/words.js"'),
        ("export default 7;", "a line that cannot be bundled: export default 7"),
        ("export let x = 7;", "a line that cannot be bundled: export let x"),
        ("export { x };", "a line that cannot be bundled: export { x }"),
        ('const x = await import("./lib/words.js");', "a line that cannot be bundled: const x = await import"),
    ],
)
def test_what_is_not_understood_is_refused(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=error.replace("(", r"\(")):
        bundle(MODULES | {"main.js": text}, "main.js", "{}")
