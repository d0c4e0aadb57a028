"""What is installed here as requirements for another machine."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from types import SimpleNamespace

import pytest

from zoo.errors import ZooError
from zoo.system import pins

INSTALLED: dict[str, tuple[str, list[str]]] = {
    "torch": (
        "2.0.1+cu130",
        ["nvidia-nccl>=2 ; sys_platform == 'linux'", "Typing_Extensions", "numpy ; extra == 'all'"],
    ),
    "typing-extensions": ("4.1", []),
    "web": ("3.0", ["loop[fast]>=1", "colour ; sys_platform == 'win32'", "epoll ; sys_platform == 'linux'"]),
    "loop": ("1.2", ["c-loop ; extra == 'fast'", "slow-loop ; extra == 'slow'", "web"]),
    "c-loop": ("0.1", ["loop"]),
    "colour": ("9", []),
    "slow-loop": ("9", []),
    "nvidia-nccl": ("9", []),
}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def distribution(name: str) -> SimpleNamespace:
        if name not in INSTALLED:
            raise PackageNotFoundError(name)
        return SimpleNamespace(version=INSTALLED[name][0], requires=INSTALLED[name][1] or None)

    monkeypatch.setattr(pins, "distribution", distribution)


def test_what_is_needed_on_linux_without_a_gpu_is_pinned(installed: None) -> None:
    assert pins.pinned(["torch>=1", "web"]) == [
        "c-loop==0.1", "loop==1.2", "torch==2.0.1", "typing-extensions==4.1", "web==3.0",
    ]  # fmt: skip


def test_extras_of_what_is_asked_for_count(installed: None) -> None:
    assert "slow-loop==9" in pins.pinned(["loop[slow]"])
    assert "slow-loop==9" not in pins.pinned(["loop"])


def test_what_is_asked_for_has_to_be_installed(installed: None) -> None:
    with pytest.raises(ZooError, match="epoll is not installed here"):
        pins.pinned(["web", "epoll"])


def test_the_versions_are_those_of_this_environment() -> None:
    lines = dict(line.split("==") for line in pins.pinned(["pydantic"]))
    assert lines["pydantic"] == version("pydantic")
    assert lines["pydantic-core"] == version("pydantic-core")  # which pydantic needs
    assert "pytest" not in lines
