"""``zoo VERB``: its help, its verbs, its ways to start, and how fast it answers."""

from __future__ import annotations

import inspect
import re
import resource
import subprocess
import sys
import sysconfig
import time
from importlib.metadata import entry_points
from pathlib import Path
from pkgutil import iter_modules

import pytest

import zoo.cli
from tests.helpers import ROOT, command, python, seconds_that_count
from zoo.cli import app
from zoo.cli._common import _documented
from zoo.cli.app import GROUPS, VERBS, parser_of
from zoo.hub import push


def fastest(*arguments: str) -> float:
    """Return the seconds of a run of the interpreter, the least of three."""
    runs = []
    for _ in range(3):
        begin, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        assert python(*arguments).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
        runs.append(seconds_that_count(time.perf_counter() - begin, processor))
    return min(runs)


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"]], ids=" ".join)
def test_help_comes_at_once(arguments: list[str]) -> None:
    assert fastest("-m", "zoo", *arguments) < 0.1


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["train", "zzz*"]], ids=" ".join)
def test_help_and_first_mistakes_come_without_torch(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from zoo.cli.app import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "assert 'zoo.cli' in sys.modules and 'torch' not in sys.modules"
    )
    done = python("-c", code, *arguments)
    assert done.returncode == 0, done.stderr


def test_the_overview_has_every_verb_in_its_group_with_one_line() -> None:
    done = command("--help")
    assert done.returncode == 0
    assert done.stdout == command().stdout == command("help").stdout == command("-h").stdout
    for title, verbs in GROUPS.items():
        group = done.stdout.split(f"\n{title}:\n")[1].split("\n\n")[0].splitlines()
        assert [line.split(maxsplit=1) for line in group] == [[verb, words] for verb, words in verbs.items()]
    assert sum(map(len, GROUPS.values())) == len(VERBS)
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert command("--version").stdout == f"autoencoder-zoo {zoo.__version__}\n"


def test_every_module_is_a_verb_and_every_verb_a_module() -> None:
    modules = {module.name for module in iter_modules(zoo.cli.__path__) if not module.name.startswith("_")}
    assert modules - {"app"} == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_help_of_its_own(verb: str) -> None:
    done = command(verb, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: zoo {verb} ")
    assert VERBS[verb][1:] in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("trian", "train"), ("evaluat", "evaluate"), ("figure", "figures"), ("decompres", "decompress")],
)
def test_a_mistyped_verb_gets_the_close_match(typed: str, meant: str) -> None:
    done = command(typed, "conv_vae_mnist")
    assert done.returncode == 2
    assert not done.stdout
    assert done.stderr.startswith(f"error: unknown verb {typed!r}; did you mean {meant!r}")
    assert "zoo --help" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_verb_like_no_other_gets_all_of_them() -> None:
    message = command("../zoo/train").stderr
    assert all(verb in message for verb in VERBS)


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [
        (["-m", "zoo"], "usage: zoo VERB"),
        (["-m", "zoo", "list", "--help"], "usage: python -m zoo list"),
        (["-m", "zoo.train", "--help"], "usage: python -m zoo.train [-h]"),
        (["-m", "zoo.compare", "--help"], "usage: python -m zoo.compare [-h]"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_ways_to_start_with_python(arguments: list[str], usage: str) -> None:
    done = python(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(usage)


def test_the_console_script() -> None:
    (script,) = [entry for entry in entry_points(group="console_scripts") if entry.name == "zoo"]
    assert script.load() is app.main
    path = Path(sysconfig.get_path("scripts")) / "zoo"
    if not path.is_file():
        pytest.skip(f"the package is installed without its script {path}")
    done = subprocess.run([path, "trian"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert "did you mean 'train'" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_the_shell_completes_every_verb(shell: str, tmp_path: Path) -> None:
    done = command("completion", shell)
    assert done.returncode == 0, done.stderr
    for verb in VERBS:
        assert re.search(rf"\b{verb}\b", done.stdout), verb
    if shell == "bash":
        (tmp_path / "script").write_text(done.stdout)
        subprocess.run(["bash", "-n", tmp_path / "script"], check=True)


def test_the_options_of_push_are_its_keyword_arguments_with_the_words_of_its_docstring() -> None:
    options = {action.dest: action for action in parser_of("push", "zoo push")._actions if action.option_strings}
    keywords = {
        name: parameter
        for name, parameter in inspect.signature(push).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in ("token", "drawn", "on_plan")
    }
    assert set(options) == {*keywords, "help", "json", "imports"}
    words = _documented(push)
    docstring = " ".join((inspect.getdoc(push) or "").split()).replace("``", "")
    for name, parameter in keywords.items():
        assert options[name].option_strings == [f"--{name.replace('_', '-')}"]
        assert options[name].default == parameter.default
        assert options[name].help == words[name]
        assert f" {name}: {words[name]}." in docstring


def test_the_python_that_runs_the_tests_runs_the_commands() -> None:
    assert python("-c", "import sys; print(sys.executable)").stdout.strip() == sys.executable


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("train", "--dryrun", "x"), "unrecognized arguments: --dryrun; did you mean --dry-run?"),
        (("push", "a", "b/c", "--taag", "v1"), "did you mean --tag?"),
        (("train", "quickstart", "--epochs", "3"), "did you mean --set training.epochs=3"),
        (("train", "--learning-rate=0.1", "quickstart"), "did you mean --set optimizer.learning_rate=0.1?"),
        (("train", "quickstart", "--latent-dim", "--all"), "did you mean --set model.latent_dim=…?"),
        (("--vresion",), "unknown option '--vresion'"),
        (("train", "--out=--", "x"), "argument --out: expected a value, found '--'"),
        (("list", "--data", "mnits"), "unknown dataset 'mnits'; did you mean 'mnist'"),
    ],
)
def test_a_mistyped_option_or_value_gets_the_close_match(arguments: tuple[str, ...], expected: str) -> None:
    done = command(*arguments)
    assert done.returncode == 2
    assert expected in done.stderr


def test_help_with_a_verb_is_that_verbs() -> None:
    done = command("help", "train")
    assert done.returncode == 0
    assert done.stdout == command("train", "--help").stdout
    assert command("help").stdout == command("--help").stdout
