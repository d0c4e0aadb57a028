"""What the tests hold against a known answer, read from their markers; for the pages of the variants."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "tests"


@cache
def known_answers() -> list[tuple[tuple[str, ...], str, str]]:
    """Return what tests are marked as a known answer of, what they say, and their addresses.

    A test says it in a marker, ``@pytest.mark.known_answer("objective/swae", says="…")``; nothing is imported for it.
    """
    found = []
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for decorator in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.known_answer":
                    patterns = tuple(ast.literal_eval(pattern) for pattern in decorator.args)
                    says: str = ast.literal_eval(decorator.keywords[0].value)
                    found.append((patterns, says, f"{path.relative_to(TESTS.parent).as_posix()}::{node.name}"))
    return found
