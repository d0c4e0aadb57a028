"""A real Chromium before a real server: what the tests in the browser share, and what the benchmark measures with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or "/usr/bin/chromium"


@contextmanager
def served(
    *words: object, environment: dict[str, str] | None = None, stop: bool = True
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run ``zoo explore`` in a process of its own; yields its address and the process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo", "explore", *map(str, words), "--no-browser", "--device", "cpu"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http://"), process.communicate()[1]
        yield url, process
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def chromium() -> Iterator[Any]:
    """Start Chromium, or skip the tests where it, or Playwright, is missing."""
    if not Path(CHROMIUM).exists():
        pytest.skip("needs Chromium: apt install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, url: str, **options: Any) -> Iterator[Any]:
    """Open a page; a script that fails, or a rule of the policy that is broken, fails the test."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if "Content Security Policy" in line.text else None)
    page.goto(url)
    yield page
    assert wrong == []
    context.close()


def serious(page: Any) -> list[str]:
    """Return what axe finds wrong that is serious or critical: a page that some people cannot use."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    violations: Sequence[Any] = axe.run(page).response["violations"]
    return [
        f"{found['id']}: {found['help']}: {[node['html'] for node in found['nodes']][:3]}"
        for found in violations
        if found["impact"] in ("serious", "critical")
    ]


WATCH = """
([selector]) => {
  // From the pointer to the image: when the newest pointer event before a question happened, when its image was drawn.
  const watched = (window.watched = { frames: [], asked: 0 });
  const pointers = new Map();
  let pointer = 0;
  addEventListener("pointermove", (event) => (pointer = event.timeStamp), true);
  addEventListener("input", (event) => (pointer = event.timeStamp), true);
  const ask = window.fetch;
  window.fetch = async (...arguments) => {
    const mine = pointer;
    watched.asked++;
    watched.flying = (watched.flying ?? 0) + 1;
    watched.most = Math.max(watched.most ?? 0, watched.flying);
    const response = await ask(...arguments);
    watched.flying--;
    response.clone().json().then((answer) => answer.png && pointers.set(answer.png, mine));
    return response;
  };
  const image = document.querySelector(selector);
  image.addEventListener("load", () =>
    requestAnimationFrame(() => {
      const from = pointers.get(image.src);
      if (from) watched.frames.push([from, performance.now()]);
    }),
  );
}
"""
"""The script that measures, in the page, the time from a pointer's event to the frame that shows its image."""


def drag(page: Any, canvas: str, moves: int = 150, pause: float = 16) -> dict[str, Any]:
    """Drag over a canvas; returns the milliseconds from pointer to image, sorted, and the frames a second."""
    page.evaluate(WATCH, [".side img.pixels"])
    box = page.locator(canvas).bounding_box()
    x, y, side = box["x"], box["y"], box["width"]
    page.mouse.move(x + side / 2, y + side / 2)
    page.mouse.down()
    for i in range(moves):
        page.mouse.move(x + side * (0.2 + 0.6 * ((i * 7) % 50) / 50), y + side * (0.2 + 0.6 * ((i * 11) % 50) / 50))
        page.wait_for_timeout(pause)
    page.mouse.up()
    page.wait_for_timeout(200)
    watched = page.evaluate("window.watched")
    frames = watched["frames"]
    times = sorted(end - start for start, end in frames)
    return {
        "frames": len(frames),
        "median": times[len(times) // 2],
        "p95": times[int(len(times) * 0.95)],
        "per_second": 1000 * (len(frames) - 1) / (frames[-1][1] - frames[0][1]),
        "most_in_flight": watched["most"],
    }
