"""Several JavaScript modules as one, for a place that can fetch none: a notebook's widget is one text.

It reads the plain part of the language that the explorer's modules keep to: imports by name, or of a whole module, by
relative paths; exports in front of what is defined. Everything else is refused.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

IMPORT = re.compile(r'^import\s+(?:\{([^}]*)\}|\*\s+as\s+(\w+))\s+from\s+"(\.[^"\n]+)";?[ \t]*$', re.MULTILINE)
EXPORT = re.compile(r"^export\s+(?=(?:const|class|(?:async\s+)?function)\s+(\w+))", re.MULTILINE)
OTHER = re.compile(r"^(?:import|export)\b.*|^.*\bimport\s*\(.*", re.MULTILINE)


def bundle(modules: Mapping[str, str], entry: str, default: str) -> str:
    """Return one module that does what ``entry`` does. The same texts give the same text.

    Each module becomes a function that is called once, so that what one defines is not in another's way.

    Args:
        modules: the text of each module by its path, such as ``views/map.js``.
        entry: the path of the module that begins.
        default: the default export, an expression in JavaScript of what ``entry`` exports.

    Raises:
        ValueError: a module is missing, imports itself through others, or has an import or an export of another kind.
    """
    done: dict[str, str] = {}
    _add(entry, modules, done, ())
    names = ", ".join(EXPORT.findall(modules[entry]))
    return "\n".join([*done.values(), f"const {{ {names} }} = {_variable(entry)};", f"export default {default};", ""])


def _add(path: str, modules: Mapping[str, str], done: dict[str, str], importing: tuple[str, ...]) -> None:
    """Add a module to those that are done, after what it imports."""
    if path in done:
        return
    chain = " imports ".join([*importing, path])
    if path in importing or path not in modules:
        raise ValueError(
            f"{chain}, which is a circle" if path in importing else f"{chain}, and there is no such module"
        )

    def imported(match: re.Match[str]) -> str:
        names, whole, relative = match.groups()
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), relative))
        _add(target, modules, done, (*importing, path))
        bound = whole or "{" + re.sub(r"\s+as\s+", ": ", names) + "}"
        return f"const {bound} = {_variable(target)};"

    body = EXPORT.sub("", IMPORT.sub(imported, modules[path]))
    if other := OTHER.search(body):
        raise ValueError(f"{path} has a line that cannot be bundled: {other[0].strip()}")
    exported = ", ".join(EXPORT.findall(modules[path]))
    done[path] = f"// {path}\nconst {_variable(path)} = (() => {{\n{body.strip()}\nreturn {{ {exported} }};\n}})();"


def _variable(path: str) -> str:
    """Name the variable that holds a module's exports."""
    return "$" + re.sub(r"\W", "_", path)
