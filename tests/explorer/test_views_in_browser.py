"""Comparing, interpolating, sampling, codebooks, trainings and the table of models, in a real Chromium."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.explorer.browser import opened, serious, served
from tests.helpers import PLUGIN

pytestmark = pytest.mark.slow

GLYPHS = "beta_vae_1_glyphs"
PHONE = {"viewport": {"width": 390, "height": 800}, "color_scheme": "dark"}


@pytest.fixture(scope="module")
def partial(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that has done its first epoch."""
    folder = tmp_path_factory.mktemp("runs") / "mine.partial"
    folder.mkdir()
    for name in ("checkpoint.safetensors", "snapshots.safetensors"):
        shutil.copy(trained / name, folder)
    (folder / "metrics.jsonl").write_text((trained / "metrics.jsonl").read_text().splitlines(keepends=True)[0])
    return folder


@pytest.fixture(scope="module")
def address(browser: Any, tiny_run: Callable[[str], Path], partial: Path) -> Iterator[str]:
    """The address of an explorer of two models of glyphs, one with a codebook, and a run in progress."""
    models = [GLYPHS, "beta_vae_4_glyphs", tiny_run("vq_vae"), partial]
    with served(*models, "--import", PLUGIN, "--port", "0") as (url, _):
        yield url


def seen(page: Any) -> str:
    """Return the image that the first model was given, as a data address."""
    return str(page.locator(".verdict img").first.get_attribute("src"))


def stroke(page: Any) -> None:
    """Begin to draw, and keep the pen on the canvas."""
    box = page.locator("canvas.drawing").bounding_box()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.8 * box["height"], steps=6)


def pixels(page: Any, selector: str) -> str:
    """Return what a canvas shows."""
    return str(page.locator(selector).evaluate("canvas => canvas.toDataURL()"))


def test_models_reconstruct_while_one_draws(address: str, browser: Any) -> None:
    with opened(browser, f"{address}#view=compare&model={GLYPHS}") as page:
        page.wait_for_selector("canvas.drawing")
        stroke(page)
        page.wait_for_selector(".verdict")  # the pen is still down
        assert page.locator(".verdict h2").all_inner_texts() == [GLYPHS, "beta_vae_4_glyphs"]
        assert page.locator(".verdict").first.locator("img").count() == 3
        assert "ELBO" in page.locator(".verdict .scores").first.inner_text()
        first = seen(page)
        page.mouse.move(300, 300, steps=3)
        page.mouse.up()
        page.wait_for_function("src => document.querySelector('.verdict img').src !== src", arg=first)
        page.wait_for_url(re.compile("image="))
        drawn = seen(page)
        with opened(browser, page.url) as again:
            again.wait_for_selector(".verdict")
            assert seen(again) == drawn
        page.get_by_role("button", name="Undo").click()
        page.wait_for_selector(".verdict", state="detached")
        page.locator("canvas.drawing").focus()
        for key in (" ", "ArrowRight", "ArrowDown", " "):
            page.keyboard.press(key)
        page.wait_for_selector(".verdict")


def test_an_image_file_is_fitted_and_one_that_is_too_large_is_not_sent(
    address: str, browser: Any, tmp_path: Path
) -> None:
    bright = np.full((60, 90, 3), 250, dtype=np.uint8)
    bright[20:40, 40:50] = 0
    Image.fromarray(bright).save(tmp_path / "bright.png")
    (tmp_path / "damaged.png").write_bytes((tmp_path / "bright.png").read_bytes()[:60])
    with open(tmp_path / "large.png", "wb") as file:
        file.truncate(200 * 2**20)
    with opened(browser, f"{address}#view=compare&model={GLYPHS}") as page:
        page.wait_for_selector("canvas.drawing")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        choose, wrong = page.locator("input[type=file]"), page.locator("main .problem")
        choose.set_input_files(tmp_path / "large.png")
        page.wait_for_selector("main .problem:visible")
        assert wrong.inner_text() == "This file has 200 MiB, and at most 20 are read; make the image smaller."
        assert asked == []
        choose.set_input_files(tmp_path / "damaged.png")
        page.wait_for_function(
            "() => document.querySelector('main .problem').textContent.startsWith('This is no image')"
        )
        choose.set_input_files(tmp_path / "bright.png")
        page.wait_for_selector(".verdict .note")
        said = page.locator(".verdict .note").first.inner_text()
        assert "resized from 90 × 60 to 28 × 28" in said and "because its background is bright" in said
        assert not wrong.is_visible()
        inverted = seen(page)
        page.get_by_text("Options").click()
        page.get_by_label("Invert").select_option("no")
        page.wait_for_function("src => document.querySelector('.verdict img').src !== src", arg=inverted)
        assert "inverted" not in page.locator(".verdict .note").first.inner_text()


def test_an_image_that_is_dropped_or_pasted_is_taken(address: str, browser: Any) -> None:
    give = """([kind, target]) => {
        const canvas = document.createElement("canvas");
        canvas.width = canvas.height = 28;
        canvas.getContext("2d").fillStyle = kind === "drop" ? "#808080" : "#404040";
        canvas.getContext("2d").fillRect(0, 0, 28, 28);
        canvas.toBlob((blob) => {
            const data = new DataTransfer();
            data.items.add(new File([blob], "mine.png", { type: "image/png" }));
            const event = kind === "drop"
                ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
                : new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
            document.querySelector(target).dispatchEvent(event);
        });
    }"""
    with opened(browser, f"{address}#view=compare&model={GLYPHS}") as page:
        page.wait_for_selector("canvas.drawing")
        page.evaluate(give, ["drop", "canvas.drawing"])
        page.wait_for_selector(".verdict")
        dropped = seen(page)
        page.evaluate(give, ["paste", "body"])
        page.wait_for_function("src => document.querySelector('.verdict img').src !== src", arg=dropped)


def test_an_interpolation_is_between_images_that_are_chosen_by_keyboard(address: str, browser: Any) -> None:
    with opened(browser, f"{address}#view=interpolation&model={GLYPHS}") as page:
        page.wait_for_selector("canvas[data-index]")
        middle = pixels(page, "canvas[data-index]")
        page.get_by_label("Place on the path").press("Home")
        page.wait_for_selector("canvas[data-index='0']")
        assert pixels(page, "canvas[data-index]") != middle
        page.get_by_role("button", name="last").click()
        page.locator("[role=option]").nth(1).focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile("last=3"))
        page.wait_for_selector("[role=option][aria-selected=true][aria-label^='Test image 3']")
        page.get_by_role("combobox", name="Path").select_option("linear")
        page.wait_for_url(re.compile("path=linear"))


def test_samples_are_drawn_anew_and_a_link_repeats_them(address: str, browser: Any) -> None:
    with opened(browser, f"{address}#view=samples&model={GLYPHS}") as page:
        page.wait_for_selector("canvas[data-drawn='0 1 ']")
        first = pixels(page, "canvas.strip")
        page.get_by_role("button", name="Resample").click()
        page.wait_for_function("() => document.querySelector('canvas.strip').dataset.drawn !== '0 1 '")
        anew = pixels(page, "canvas.strip")
        assert anew != first
        page.wait_for_url(re.compile("seed="))
        with opened(browser, page.url) as again:
            again.wait_for_selector("canvas[data-drawn]")
            assert pixels(again, "canvas.strip") == anew
        page.get_by_label("Class").select_option("3")
        page.wait_for_function("() => document.querySelector('canvas.strip').dataset.drawn.endsWith(' 3')")
        assert "class 3" in page.locator("main .note").first.inner_text()


def test_a_vector_is_put_into_a_code(address: str, browser: Any) -> None:
    with opened(browser, f"{address}#view=codebook&model=vq_vae") as page:
        page.wait_for_selector(".palette [role=option]")
        page.wait_for_selector(".grid button")
        changed = page.locator(".trio img").nth(2)
        before = changed.get_attribute("src")
        used = page.locator(".grid button").first.inner_text()
        other = page.locator(f".palette [role=option]:not([aria-label^='Vector {used},'])").first
        number = re.match(r"Vector (\d+)", other.get_attribute("aria-label"))[1]  # type: ignore[index]
        other.click()
        page.locator(".grid button").first.click()
        page.wait_for_selector(f".grid button.changed:text-is('{number}')")
        page.wait_for_function("src => document.querySelectorAll('.trio img')[2].src !== src", arg=before)
        page.wait_for_url(re.compile(f"put=0%3A{number}"))
        page.get_by_role("button", name="Reset the code").click()
        page.wait_for_function("src => document.querySelectorAll('.trio img')[2].src === src", arg=before)


def test_a_training_is_shown_as_it_goes_on_until_it_has_ended(
    address: str, browser: Any, partial: Path, trained: Path
) -> None:
    with opened(browser, f"{address}#view=training&model=mine.partial") as page:
        page.wait_for_selector(".status[data-epoch='1']")
        assert "Epoch 1 of 2 has ended" in page.locator(".status").inner_text()
        assert page.locator(".epochs li").all_inner_texts() == ["images", "epoch 0", "epoch 1", "epoch 2"]
        assert page.get_by_role("tab", name="Samples").evaluate("tab => tab.classList.contains('unfit')")
        shutil.copy(trained / "metrics.jsonl", partial)
        page.wait_for_selector(".status[data-epoch='2']")
        rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
        page.locator("svg.chart").focus()
        page.keyboard.press("Home")
        readout = page.locator(".curves output").inner_text()
        assert readout == f"epoch 1: train {digits(rows[0]['train']['loss'])}, test {digits(rows[0]['test']['loss'])}"
        shutil.copytree(trained, partial.with_name("mine"))
        shutil.rmtree(partial)
        page.wait_for_selector("text=The run has ended")
        assert not page.get_by_role("tab", name="Samples").evaluate("tab => tab.classList.contains('unfit')")


def digits(value: float) -> str:
    """Write a number with five digits, as JavaScript does."""
    return f"{float(f'{value:.6g}'):#.5g}"


def test_models_are_sorted_chosen_and_linked(address: str, browser: Any) -> None:
    with opened(browser, f"{address}#view=models&model={GLYPHS}") as page:
        page.wait_for_selector(".leaderboard tbody tr")
        page.get_by_label("Data").select_option("glyphs")
        page.get_by_role("button", name="MSE").click()
        names = page.locator(".leaderboard tbody th").all_inner_texts()
        assert names == [GLYPHS, "beta_vae_4_glyphs", "beta_vae_10_glyphs"]
        page.get_by_role("button", name="MSE").click()
        assert page.locator(".leaderboard tbody th").all_inner_texts() == names[::-1]
        page.wait_for_url(re.compile("sort=mse"))
        page.get_by_role("link", name="beta_vae_4_glyphs").click()
        page.wait_for_function("() => document.querySelector('.chooser select').value === 'beta_vae_4_glyphs'")


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desk", "phone"])
def test_everybody_can_use_the_views_on_any_screen(address: str, browser: Any, options: dict[str, Any]) -> None:
    ready = {
        f"compare&model={GLYPHS}&number=3": ".verdict",
        f"interpolation&model={GLYPHS}": "canvas[data-index]",
        f"samples&model={GLYPHS}": "canvas[data-drawn]",
        "codebook&model=vq_vae": ".palette [role=option]",
        f"training&model={GLYPHS}": "svg polyline",
        f"models&model={GLYPHS}": ".leaderboard tbody tr",
    }
    for view, selector in ready.items():
        with opened(browser, f"{address}#view={view}", **options) as page:
            page.wait_for_selector(selector)
            page.locator("details").evaluate_all("all => all.forEach((one) => (one.open = true))")
            assert serious(page) == [], view
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
