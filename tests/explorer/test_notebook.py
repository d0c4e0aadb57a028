"""``zoo.explore`` in a notebook, in one that lacks the widget, and elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
from matplotlib.figure import Figure
from nbclient import NotebookClient

import zoo
from tests.helpers import tiny_recipe
from zoo.errors import ZooError
from zoo.explorer import Session, notebook
from zoo.explorer.notebook import explore, what_is_lacking
from zoo.explorer.static_files import static_files

VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def widget(tiny_run: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("anywidget", reason="needs the extra: notebook")
    monkeypatch.setattr(notebook, "what_is_lacking", lambda: None)
    return explore(tiny_run("vae"))


def test_the_widget_has_the_program_and_the_style_in_its_state(widget: Any) -> None:
    state = widget.get_state()
    assert state["_esm"].endswith("export default { render };\n")
    assert state["_esm"].count("// views/map.js\n") == 1
    assert state["style_sheet"] == static_files()["style.css"].decode()
    assert len(state["_esm"]) + len(state["style_sheet"]) < 500_000
    assert VIEW in widget._repr_mimebundle_()[0]


def test_the_widget_answers_messages_as_the_session_does(widget: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(widget, "send", sent.append)
    question = {"view": "map", "parameters": {"model": "vae", "at": [0.0, 1.0]}}
    for message in (question | {"id": "a 1"}, {"id": "a 2", "view": "maap", "parameters": {}}, {"id": "a 3"}):
        widget._handle_custom_msg(message, [])
    assert [message["id"] for message in sent] == ["a 1", "a 2", "a 3"]
    assert sent[0]["answer"] == json.loads(json.dumps(widget.session.ask("map", question["parameters"])))
    assert "did you mean 'map'?" in sent[1]["error"]
    assert sent[2]["error"] == "the kernel could not answer: KeyError: 'view'"


def test_elsewhere_it_is_a_figure_and_a_sentence(tiny_run: Callable[[str], Path]) -> None:
    with pytest.warns(UserWarning, match=r"^zoo.explore shows a widget in a notebook, and this is none"):
        assert isinstance(explore(tiny_run("vae")), Figure)
    with pytest.warns(UserWarning):  # of a code that has no map
        assert isinstance(explore(tiny_run("vq_vae")), Figure)


def test_a_notebook_without_the_package_is_told_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr(notebook, "find_spec", lambda name: None)
    assert "pip install 'autoencoder-zoo[notebook]'" in str(what_is_lacking())


def test_a_model_that_is_loaded_is_shown_as_it_is(
    tiny_run: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Session] = []
    monkeypatch.setattr(notebook, "Session", lambda *given: opened.append(Session(*given)) or opened[-1])
    models = [zoo.load(tiny_run("vae")), zoo.load("vae_2d_mnist"), zoo.load(str(tiny_run("ae")))]
    with pytest.warns(UserWarning):
        explore(*models, "linear_vae_mnist")
    assert list(opened[0].models) == ["vae", "vae_2d_mnist", "ae", "linear_vae_mnist"]
    for model, shown in zip(models, opened[0].models.values(), strict=False):
        assert shown.model is model


def test_what_cannot_be_shown_is_said() -> None:
    with pytest.raises(ZooError, match="name a model"):
        explore()
    with pytest.raises(ZooError, match="trained models, with their run folder"):
        explore(zoo.build(tiny_recipe()))
    with pytest.raises(ZooError, match="did you mean 'conv_vae_mnist'"):
        explore("conv_vae_mnits")


@pytest.mark.slow
def test_a_cell_of_a_notebook_shows_the_widget(tmp_path: Path) -> None:
    pytest.importorskip("anywidget", reason="needs the extra: notebook")
    cell = nbformat.v4.new_code_cell("import zoo\nzoo.explore(zoo.load('conv_vae_2d_mnist'))")
    book = nbformat.v4.new_notebook(cells=[cell])
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    (output,) = book.cells[0].outputs
    assert VIEW in output["data"]
    (state,) = (
        part["state"]
        for part in book.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"].values()
        if part["model_module"] == "anywidget"
    )
    assert "// views/map.js\n" in state["_esm"]
