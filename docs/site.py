"""What the site has beside the files of ``docs/``, as hooks of MkDocs (``mkdocs.yml``).

- README, changes and whatever else a page links to outside of ``docs/`` (recipes, records of entries): the files as
  they are, at addresses within the site; links between pages are rewritten, so that they hold on GitHub as well
- the tutorial: its notebook as a page
- formulas: MathML, which needs no script
- the API reference: a page for each public package, whose text mkdocstrings takes from the docstrings
"""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from posixpath import dirname, normpath, relpath
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import zoo

ROOT = Path(__file__).resolve().parent.parent
PAGES = {"README.md": "first_steps.md", "CHANGELOG.md": "changes.md", "docs/tutorial.ipynb": "tutorial.md"}
"""The pages that are no Markdown of ``docs/``: their paths in the repository, and on the site."""

API = {
    "tasks": ["tasks"],
    "training": ["training", "loggers", "optimizers", "schedules"],
    "models": ["models", "networks"],
    "objectives": ["objectives", "distances"],
    "schema": ["schema"],
    "datasets": ["datasets", "augmentations"],
    "metrics": ["metrics"],
    "figures": ["figures", "plotting"],
    "hub": ["hub"],
}
"""The pages of the API reference and the packages on each, after that of ``zoo`` itself."""

LINK = re.compile(r"(\]\()([^)#\s:]+)((?:#[^)\s]*)?\))")
FENCE = re.compile(r"(^ *```.*?^ *```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
MATH = re.compile(r"^```math\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc):<code>[~.]?([\w.]+)</code>")
OUTSIDE = re.compile(
    r"<(?:script|img|iframe|source|video)\b[^>]*\bsrc=\"?(?:https?:)?//|<link\b[^>]*\bhref=\"?https?://"
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Name the pages that a ``*`` in the navigation stands for."""
    there = sorted([path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")] + [*api_pages()])
    named = set(_named(config.nav))
    config.nav = _expanded(config.nav, [page for page in there if page not in named])
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and the files that do not lie in ``docs/``."""
    for source, page in PAGES.items():
        if source.endswith(".md"):
            files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    for name, content in notebook(ROOT / "docs" / "tutorial.ipynb").items():
        files.append(File.generated(config, name, content=content))
    for name, content in api_pages().items():
        files.append(File.generated(config, name, content=content))
    for path in sorted({*ROOT.glob("recipes/**/*.json"), *ROOT.glob("zoo/weights/*/config.json"), ROOT / "LICENSE"}):
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Let links lead to where things are on the site; the start page has no navigation beside it."""
    if page.file.src_uri == "index.md":
        page.meta["hide"] = ["navigation", "toc"]
    if page.file.src_uri == PAGES["README.md"]:
        markdown = re.sub("^# .*", "# First steps", markdown)  # its title is that of the start page
    return MATH.sub(mathml, numbered(relinked(markdown, page.file.src_uri)))


def numbered(markdown: str) -> str:
    """Return Markdown in which headings of the same words have the anchors that GitHub gives them: x, x-1, x-2."""
    seen: Counter[str] = Counter()

    def anchored(match: re.Match[str]) -> str:
        words = match[1].replace("`", "")
        seen[words] += 1
        slug = re.sub(r"[^\w-]", "", words.lower().replace(" ", "-"))
        return match[0] if seen[words] == 1 else f"{match[0]} {{ #{slug}-{seen[words] - 1} }}"

    parts = re.split(r"(^ *```.*?^ *```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if n % 2 else re.sub(r"^#+ (.+)$", anchored, part, flags=re.M) for n, part in enumerate(parts))


def mathml(formula: re.Match[str]) -> str:
    """Return a formula as browsers show it by themselves, as GitHub does with a block of ``math``."""
    written = convert(formula[1], display="block")
    if "\\" in written:  # a command that latex2mathml does not know, which would be shown as it is
        raise PluginError(f"cannot be written as MathML, write it with other commands: {formula[1]}")
    return f'<div class="math">{written}</div>'


def on_page_content(html: str, **_: Any) -> str:
    """Make links of the names that docstrings mention by a role, where the reference has them."""
    return ROLE.sub(r'<autoref identifier="\1" optional><code>\1</code></autoref>', html)


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Refuse a page that would load anything from elsewhere."""
    if found := OUTSIDE.search(output):
        raise PluginError(f"{page.file.src_uri} loads something from outside: {found[0]}")
    return output


def relinked(markdown: str, page: str) -> str:
    """Return Markdown of a page of the site, whose links are those of the repository, with those of the site."""
    source = next((there for there, here in PAGES.items() if here == page), f"docs/{page}")

    def moved(match: re.Match[str]) -> str:
        target = normpath(f"{dirname(source)}/{match[2]}" if dirname(source) else match[2])
        here = PAGES.get(target, target.removeprefix("docs/"))
        return match[1] + (match[2] if target == source else relpath(here, dirname(page) or ".")) + match[3]

    parts = FENCE.split(markdown)  # every second one is code
    return "".join(part if number % 2 else LINK.sub(moved, part) for number, part in enumerate(parts))


def notebook(path: Path) -> dict[str, str | bytes]:
    """Return a notebook as a page of the same name, and its images."""
    files: dict[str, str | bytes] = {}
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        parts.append(f"```python\n{source}\n```" if cell["cell_type"] == "code" else source)
        for output in cell.get("outputs", []):
            data = output.get("data", {"text/plain": output.get("text", "")})
            if "image/png" in data:
                name = f"{path.stem}/{len(files) + 1}.png"
                files[name] = base64.b64decode("".join(data["image/png"]))
                parts.append(f"![The figure of the cell above]({name})")
            else:
                parts.append(f"```text\n{''.join(data['text/plain']).rstrip()}\n```")
    first, *rest = parts
    title, _, introduction = first.partition("\n")
    download = f"*This page is [a notebook]({path.name}) with the outputs of its cells.*"
    return {f"{path.stem}.md": "\n\n".join([title, download, introduction.strip(), *rest]) + "\n", **files}


def api_pages() -> dict[str, str]:
    """Return the pages of the API reference: what mkdocstrings is to show, in its own words."""
    names: Mapping[str, str] = zoo._HOME
    registering = [name for name in names if name.startswith("register_")]
    others = [name for name in names if name not in registering]
    parts = ["# API reference", "What `import zoo` gives; everything is imported when it is first used."]
    for title, group in (("Names", others), ("Registration", registering)):
        parts.append(f"## {title}")
        for name in group:
            options = f"    options: {{heading: zoo.{name}, toc_label: {name}, heading_level: 3}}"
            parts.append(f"::: {names[name]}.{name}\n{options}")
    pages = {"api/index.md": "\n\n".join(parts) + "\n"}
    for page, packages in API.items():
        shown = "\n\n".join(f"::: zoo.{package}" for package in packages)
        pages[f"api/{page}.md"] = f"# {page.capitalize()}\n\n{shown}\n"
    return pages


def _named(nav: Any) -> Iterator[str]:
    """Yield the paths in a navigation."""
    if isinstance(nav, str):
        yield nav
    for item in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from _named(item)


def _expanded(nav: Any, pages: list[str]) -> Any:
    """Return a navigation in which the pages stand that its patterns match."""
    if isinstance(nav, dict):
        return {title: _expanded(item, pages) for title, item in nav.items()}
    if isinstance(nav, list):
        found: list[Any] = []
        for item in nav:
            matched = [page for page in pages if fnmatch(page, item)] if isinstance(item, str) and "*" in item else None
            found += [_expanded(item, pages)] if matched is None else matched
        return found
    return nav
