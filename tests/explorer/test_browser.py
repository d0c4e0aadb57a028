"""The explorer's page in a real Chromium: map, sliders, choosing a model, links, and a server that is lost."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.explorer.browser import drag, opened, serious, served
from tests.helpers import PLUGIN, needs_mnist

pytestmark = pytest.mark.slow

MAP = "#view=map&model=conv_vae_2d_mnist"
DECODED = "canvas.map[data-decoded]"
PHONE = {"viewport": {"width": 360, "height": 740}}


def image_of(page: Any) -> str:
    return str(page.locator(".side img.pixels").first.get_attribute("src"))


def decoded(page: Any) -> int:
    return int(page.locator("canvas.map").get_attribute("data-decoded"))


def until(page: Any, more_than: int) -> None:
    page.wait_for_function("n => Number(document.querySelector('canvas.map').dataset.decoded) > n", arg=more_than)


@needs_mnist
def test_dragging_over_the_map_decodes_where_the_pointer_is(explorer: str, browser: Any) -> None:
    with opened(browser, f"{explorer}{MAP}") as page:
        page.wait_for_selector(DECODED)
        assert page.locator(".legend button").all_inner_texts() == [str(digit) for digit in range(10)]
        before, count = image_of(page), decoded(page)
        box = page.locator("canvas.map").bounding_box()
        page.mouse.move(box["x"] + 10, box["y"] + 10)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] * 0.5, steps=5)
        page.mouse.up()
        until(page, count + 1)
        page.wait_for_timeout(400)
        assert image_of(page) != before
        x, y = map(float, re.search(r"z=([-\d.]+)%2C([-\d.]+)", page.url).groups())  # type: ignore[union-attr]
        assert x > 2 > abs(y)


def test_arrow_keys_move_the_point(explorer: str, browser: Any) -> None:
    with opened(browser, f"{explorer}{MAP}&z=0,0") as page:
        page.wait_for_selector(DECODED)
        page.locator("canvas.map").focus()
        count = decoded(page)
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Shift+ArrowUp")
        until(page, count)
        page.wait_for_timeout(300)
        x, y = map(float, re.search(r"z=([-\d.]+)%2C([-\d.]+)", page.url).groups())  # type: ignore[union-attr]
        assert 0 < x < y < 1
        assert abs(y / x - 5) < 0.1


def test_a_link_shows_the_same_and_back_goes_back(explorer: str, browser: Any) -> None:
    with opened(browser, f"{explorer}{MAP}&z=-1.5,1") as page:
        page.wait_for_selector(DECODED)
        assert page.locator("#map-at").inner_text() == "z1 \u22121.50, z2 1.00"
        first = image_of(page)
        page.get_by_role("tab", name="Sliders").click()
        page.wait_for_selector(".slider input")
        assert "view=sliders" in page.url
        page.go_back()
        page.wait_for_selector(DECODED)
        page.wait_for_function("src => document.querySelector('.side img.pixels').src === src", arg=first)
        with opened(browser, page.url) as again:
            again.wait_for_selector(DECODED)
            assert image_of(again) == first


def test_sliders_move_the_code_and_a_traversal_shows_one(explorer: str, browser: Any) -> None:
    with opened(browser, f"{explorer}#view=sliders&model=conv_vae_mnist") as page:
        page.wait_for_selector(".slider input")
        assert page.locator(".slider").count() == 20
        before = image_of(page)
        page.locator(".slider input").first.focus()
        for _ in range(20):
            page.keyboard.press("ArrowRight")
        page.wait_for_function("src => document.querySelector('.side img.pixels').src !== src", arg=before)
        page.wait_for_function("() => /z=\\d+%3A/.test(location.hash)")
        page.get_by_role("button", name="Traverse").first.click()
        page.wait_for_selector(".traversal:not([hidden]) canvas")
        page.get_by_role("button", name="Random code").click()
        page.wait_for_function("() => location.hash.includes('seed=') && !location.hash.includes('z=')")
        page.get_by_role("button", name="Reset").click()
        page.wait_for_function("src => document.querySelector('.side img.pixels').src === src", arg=before)


def test_a_card_opens_its_model(explorer: str, browser: Any) -> None:
    with opened(browser, f"{explorer}{MAP}") as page:
        page.get_by_role("button", name="Cards").click()
        card = page.locator(".card", has_text="conditional_vae_mnist")
        card.locator("img").wait_for()
        assert "\u2212ELBO" in card.inner_text()
        card.get_by_role("button").click()
        page.wait_for_function("() => location.hash.includes('model=conditional_vae_mnist')")
        page.get_by_label("Decode as").wait_for()


def test_a_model_that_no_map_fits_says_why(explorer: str, browser: Any) -> None:
    with opened(browser, f"{explorer}#view=map&model=vq_vae_fashion_mnist") as page:
        page.get_by_text("between two vectors there is nothing").wait_for()
    with opened(browser, f"{explorer}#view=map&model=nothing") as page:
        page.get_by_role("alert").get_by_text("nothing is not open here").wait_for()


@pytest.mark.parametrize("view", ["map", "sliders"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_in_light_and_dark_and_fits_a_phone(
    explorer: str, browser: Any, view: str, scheme: str
) -> None:
    with opened(browser, f"{explorer}#view={view}&model=conv_vae_mnist", color_scheme=scheme, **PHONE) as page:
        page.wait_for_selector("canvas.map[data-decoded], .slider input")
        assert serious(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        ground = page.evaluate("getComputedStyle(document.querySelector('.zoo')).backgroundColor")
        page.get_by_role("button", name="Dark or light").click()
        assert page.evaluate("getComputedStyle(document.querySelector('.zoo')).backgroundColor") != ground
        assert serious(page) == []


def test_everything_can_be_reached_by_keyboard(explorer: str, browser: Any) -> None:
    with opened(browser, f"{explorer}{MAP}") as page:
        page.wait_for_selector(DECODED)
        reached = set()
        for _ in range(30):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.tagName + document.activeElement.className"))
        assert {"SELECT", "BUTTONquiet", "CANVASmap"} <= reached
        page.get_by_role("tab", name="Map").focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_selector(".slider input")
        assert page.evaluate("document.activeElement.textContent") == "Sliders"


def test_without_test_images_the_map_shows_what_the_prior_decodes_to(browser: Any, tmp_path: Path) -> None:
    with served("conv_vae_2d_mnist", "--port", "0", environment={"ZOO_DATA": str(tmp_path / "none")}) as (url, _):
        with opened(browser, url) as page:
            page.wait_for_selector(DECODED)
            page.get_by_text("There are no test images to show").wait_for()
            assert page.get_by_label("decoded images behind").is_checked()


def test_a_server_that_is_lost_comes_back(browser: Any, tiny_run: Callable[[str], Path]) -> None:
    words = (tiny_run("vae"), "--import", PLUGIN)
    with served(*words, "--port", "0") as (url, process):
        with opened(browser, f"{url}#view=map&model=vae") as page:
            page.wait_for_selector(DECODED)
            process.terminate()
            process.wait()
            page.locator("canvas.map").focus()
            page.keyboard.press("ArrowRight")
            page.get_by_text("The server does not answer").wait_for()
            count = decoded(page)
            with served(*words, "--port", url.rstrip("/").rpartition(":")[2]):
                until(page, count)
                page.get_by_text("The server does not answer").wait_for(state="hidden")


@needs_mnist
@pytest.mark.alone
@pytest.mark.parametrize("model", ["conv_vae_2d_mnist", "conv_vae_mnist"])
def test_the_image_follows_the_pointer(explorer: str, browser: Any, model: str) -> None:
    rounds = []
    for _ in range(3):  # others may keep the machine busy: the best of three
        with opened(browser, f"{explorer}#view=map&model={model}") as page:
            page.wait_for_selector(DECODED)
            rounds.append(drag(page, "canvas.map", moves=100))
        if rounds[-1]["p95"] < 50:
            break
        time.sleep(1)
    best = min(rounds, key=lambda measured: float(measured["p95"]))
    assert best["frames"] > 50
    assert best["most_in_flight"] == 1
    assert best["median"] < 50 and best["p95"] < 100, rounds  # docs/explorer.md has what a quiet machine measures
