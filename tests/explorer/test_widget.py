"""The widget in a real browser, within a page that stands in for a notebook."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.explorer.browser import serious
from zoo.explorer import Session

pytestmark = pytest.mark.slow

PAGE = """<!doctype html>
<html lang="en"><title>A notebook</title>
<body data-jp-theme-light="false">
<style>button, canvas { display: none } * { color: red !important }</style>
<div id="cell" style="width: 800px"></div>
<script type="module">
  import widget from "/widget.js";
  const listeners = new Set();
  window.held = null; // a promise that answers wait for
  window.keys = 0; // that the notebook gets
  document.addEventListener("keydown", () => (window.keys += 1));
  const model = {
    get: (name) => window.traits[name],
    on: (event, listener) => listeners.add(listener),
    off: (event, listener) => listeners.delete(listener),
    async send(question) {
      const answer = JSON.parse(await window.kernel(JSON.stringify(question)));
      await window.held;
      for (const listener of listeners) listener(answer);
    },
  };
  window.listening = () => listeners.size;
  window.end = widget.render({ model, el: document.getElementById("cell") });
</script>
"""


@pytest.fixture
def page(browser: Any, tiny_run: Callable[[str], Path]) -> Iterator[Any]:
    """A page with the widget of two models, whose questions are answered here."""
    pytest.importorskip("anywidget", reason="needs the extra: notebook")
    from zoo.explorer._widget import Explorer, reply

    session = Session([str(tiny_run(variant)) for variant in ("vae", "vq_vae")])
    traits = json.dumps({"style_sheet": Explorer.style_sheet.default_value})
    files = {"/widget.js": ("text/javascript", Explorer._esm), "/": ("text/html", PAGE)}

    def fulfil(route: Any) -> None:
        kind, body = files["/" + route.request.url.rpartition("/")[2]]
        route.fulfill(content_type=kind, body=body)

    def kernel(question: str) -> str:
        asked = json.loads(question)
        return json.dumps({"id": asked["id"], **reply(session, asked)})

    page = browser.new_context().new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.route("**/*", fulfil)
    page.expose_function("kernel", kernel)
    page.add_init_script(f"window.traits = {traits}")
    page.clock.install()
    page.goto("http://notebook.example/")  # not a secure context, as a notebook in a local network
    yield page
    page.context.close()
    assert errors == []


def test_a_code_is_moved_and_the_image_follows(page: Any) -> None:
    image = page.get_by_alt_text("The image that the model decodes at the point of the map")
    page.wait_for_selector("canvas.map[data-decoded='1']")
    before = image.get_attribute("src")
    canvas = page.locator("canvas.map")
    canvas.focus()
    canvas.press("Shift+ArrowRight")
    page.wait_for_selector("canvas.map[data-decoded='2']")
    assert image.get_attribute("src") != before
    assert page.evaluate("window.keys") == 0  # the notebook's shortcuts do not get them
    page.get_by_role("tab", name="Map").press("ArrowRight")
    sliders = page.get_by_role("tab", name="Sliders")
    assert sliders.get_attribute("aria-selected") == "true"
    assert sliders.evaluate("tab => tab.getRootNode().activeElement === tab")
    decoded = page.get_by_alt_text("The image that the model decodes from the sliders' code")
    first = decoded.get_attribute("src") or decoded.evaluate("i => new Promise(r => (i.onload = () => r(i.src)))")
    page.get_by_role("slider").first.fill("1.5")
    page.wait_for_function("([i, src]) => i.src !== src", arg=[decoded.element_handle(), first])
    page.get_by_role("combobox", name="Model").select_option("vq_vae")
    assert "A code of this model is a grid" in page.locator(".note").text_content(timeout=5000)


def test_the_widget_looks_as_the_notebook_around_it_whose_rules_do_not_reach_it(page: Any) -> None:
    page.wait_for_selector("canvas.map[data-decoded]")
    style = page.locator(".zoo").evaluate("e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]")
    assert style == ["rgb(20, 22, 26)", "rgb(232, 234, 238)"]
    assert page.evaluate("getComputedStyle(document.body).margin") == "8px"  # nor its own the notebook
    assert serious(page) == []
    page.get_by_role("button", name="Dark or light").click()
    assert page.locator(".zoo").evaluate("e => getComputedStyle(e).backgroundColor") == "rgb(255, 255, 255)"


def test_a_kernel_that_does_not_answer_is_said_until_it_does(page: Any) -> None:
    page.wait_for_selector("canvas.map[data-decoded='1']")
    lost = page.get_by_text("The kernel does not answer.")
    page.evaluate("() => { window.held = new Promise((resolve) => (window.release = resolve)); }")
    page.locator("canvas.map").press("ArrowUp")
    page.clock.run_for(4000)
    assert not lost.is_visible()
    page.clock.run_for(2000)
    assert lost.is_visible()
    page.evaluate("window.release()")
    page.wait_for_selector("canvas.map[data-decoded='2']")
    assert not lost.is_visible()


def test_a_widget_that_is_taken_away_listens_to_nothing(page: Any) -> None:
    page.wait_for_selector("canvas.map[data-decoded='1']")
    assert page.evaluate("window.listening()") == 1
    page.evaluate("window.end()")
    assert page.evaluate("window.listening()") == 0
