"""Names of tensors: rules that map those of a file to those of a model, and guesses of the rules that are missing."""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

from zoo.entries.catalog import natural
from zoo.errors import ZooError, suggest
from zoo.schema.parsing import parse_json
from zoo.schema.text import read_text
from zoo.system.files import user_path

Shape = tuple[int, ...]

MAX_ALIKE = 200
"""The most tensors of one shape that are compared by their names; every one is compared with every other."""


def parse_rules(texts: Sequence[str]) -> dict[str, str]:
    """Parse rules such as ``fc1.*=encoder.0.*``, or files of them: ``names.json`` with ``{"fc1.*": "encoder.0.*"}``.

    Raises:
        ZooError: a rule has another form, or a file cannot be read.
    """
    rules: dict[str, str] = {}
    for text in texts:
        old, equals, new = text.partition("=")
        if equals:
            found = {old.strip(): new.strip()}
        elif text.endswith(".json"):
            path = user_path(text)
            read = parse_json(read_text(path, "the mapping of names"), str(path))
            wrong = next((name for name, value in read.items() if not isinstance(value, str)), None)
            if wrong is not None:
                raise ZooError(f'{path}: {wrong!r}: expected the name of a tensor, as in {{"fc1.*": "encoder.0.*"}}')
            found = read
        else:
            raise ZooError(f"--map {text}: expected OLD=NEW, as in 'fc1.*=encoder.0.*', or a .json file of such names")
        for old, new in found.items():
            if not old or old.count("*") > 1 or new.count("*") > old.count("*"):
                raise ZooError(f"--map {old}={new}: expected at most one * in OLD, and one in NEW only if OLD has it")
            if rules.get(old, new) != new:
                raise ZooError(f"--map {old}: is mapped to {rules[old]!r} and to {new!r}; keep one")
            rules[old] = new
    return rules


def renamed(names: Collection[str], rules: Mapping[str, str]) -> dict[str, str]:
    """Return the new name of each tensor, empty where a rule leaves it out; those that no rule fits keep theirs.

    A rule for the whole name comes before patterns, and the first pattern that fits counts.

    Raises:
        ZooError: a rule fits no tensor, or two tensors get one name.
    """
    new_names: dict[str, str] = {}
    used = set()
    for name in names:
        rule = name if name in rules else next((old for old in rules if _between(name, old) is not None), None)
        new_names[name] = name if rule is None else _replaced(name, rule, rules[rule])
        used.add(rule)
    idle = next((old for old in rules if old not in used), None)
    if idle is not None:
        raise ZooError(f"--map {idle}={rules[idle]}: no tensor has such a name{suggest(idle, names, list(names)[:8])}")
    new, times = max(Counter(filter(None, new_names.values())).items(), key=lambda item: item[1], default=("", 0))
    if times > 1:
        both = [name for name in new_names if new_names[name] == new]
        raise ZooError(f"--map: {' and '.join(both[:3])} would all be {new}; leave one out: --map {both[1]}=")
    return new_names


def _between(name: str, pattern: str) -> str | None:
    """Return what the ``*`` of a pattern stands for in a name; None where the pattern has none or does not fit."""
    start, star, end = pattern.partition("*")
    fits = star and len(name) >= len(start) + len(end) and name.startswith(start) and name.endswith(end)
    return name[len(start) : len(name) - len(end)] if fits else None


def _replaced(name: str, old: str, new: str) -> str:
    return new.replace("*", _between(name, old) or "")


def guessed_rules(missing: Mapping[str, Shape], left_over: Mapping[str, Shape]) -> dict[str, str]:
    """Guess rules that would give tensors which are left over the names of missing ones of the same shape.

    Names that are alike belong together, and among equals those at the same place in the order. A rule is for as many
    tensors as it can be: ``fc1.*`` for weight and bias.
    """
    pairs: dict[str, str] = {}
    wanted, there = _by_shape(missing), _by_shape(left_over)
    for shape in wanted.keys() & there.keys():
        pairs |= _paired(wanted[shape][:MAX_ALIKE], there[shape][:MAX_ALIKE])
    rules: dict[str, str] = {}
    for old, new in sorted(pairs.items(), key=lambda pair: natural(pair[1])):
        short = _shortened(old, new)
        known = [name for name in left_over if _between(name, short[0]) is not None]
        if all(pairs.get(name) == _replaced(name, *short) for name in known):
            rules[short[0]] = short[1]
        else:
            rules[old] = new
    return rules


def _by_shape(tensors: Mapping[str, Shape]) -> dict[Shape, list[str]]:
    names = defaultdict(list)
    for name in sorted(tensors, key=natural):
        names[tensors[name]].append(name)
    return names


def _paired(wanted: Sequence[str], there: Sequence[str]) -> dict[str, str]:
    """Return the wanted name of each name that is there, as far as both reach, the likest first."""

    def unlikeness(pair: tuple[int, int]) -> tuple[bool, float, int]:
        new, old = wanted[pair[0]], there[pair[1]]
        other_part = new.rpartition(".")[2] != old.rpartition(".")[2]  # a weight is no bias
        return other_part, -difflib.SequenceMatcher(None, new, old).ratio(), abs(pair[0] - pair[1])

    pairs: dict[str, str] = {}
    for i, j in sorted(((i, j) for i in range(len(wanted)) for j in range(len(there))), key=unlikeness):
        if there[j] not in pairs and wanted[i] not in pairs.values():
            pairs[there[j]] = wanted[i]
    return pairs


def _shortened(old: str, new: str) -> tuple[str, str]:
    """Return a rule for a pair of names, with ``*`` in place of the parts that both end with."""
    olds, news = old.split("."), new.split(".")
    while olds and news and olds[-1] == news[-1]:
        olds.pop()
        news.pop()
    if ".".join(olds) == old:
        return old, new
    return ".".join([*olds, "*"]), ".".join([*news, "*"])
