"""The cores that are free, and the number of threads that is chosen by them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from zoo.system import cores
from zoo.system.cores import Look, Threads, Watch, allowed_cores, choose_threads, wait_passively_if_busy

STAT = """cpu  900 0 100 4000 500 0 0 0 0 0
cpu0 300 0 50 1000 200 0 0 0 0 0
cpu1 300 0 25 2000 300 0 0 0 0 0
cpu2 300 0 25 1000 0 0 0 0 0 0
intr 17360003 0
"""


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with four cores and no limit, where nobody has said a number of threads."""
    monkeypatch.setattr(cores, "_affinity", lambda: {0, 1, 2, 3})
    monkeypatch.setattr(cores, "_quotas", lambda *_: iter(()))
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)


class Clock:
    """A clock that stands still but for those who sleep, and cores that others keep busy."""

    def __init__(self, allowed: int, busy: float, own: float = 0.0) -> None:
        self.now, self.allowed, self.busy, self.own, self.looks = 100.0, allowed, busy, own, 0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def look(self) -> Look:
        self.looks += 1
        return Look(self.now, (self.allowed - self.busy - self.own) * self.now, self.own * self.now)


def watch(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Watch:
    monkeypatch.setattr(cores.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(cores.time, "sleep", clock.sleep)
    monkeypatch.setattr(Look, "now", clock.look)
    made = Watch()
    monkeypatch.setattr(cores, "WATCH", made)
    return made


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/stat")
def test_idle_time_is_that_of_the_cores_that_the_process_may_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "stat").write_text(STAT)
    monkeypatch.setattr(cores, "_affinity", lambda: {0, 1})
    look = Look.now(tmp_path / "stat")
    assert look and look.idle == (1000 + 200 + 2000 + 300) / os.sysconf("SC_CLK_TCK")
    assert Look.now(tmp_path / "missing") is None


@pytest.mark.parametrize("busy", [0.0, 0.4, 1.0, 2.7, 4.0])
@pytest.mark.parametrize("own", [0.0, 1.3])
def test_what_others_leave_is_free_and_what_this_process_does_itself_is_too(
    monkeypatch: pytest.MonkeyPatch, four_cores: None, busy: float, own: float
) -> None:
    clock = Clock(4, busy, min(own, 4 - busy))
    assert watch(monkeypatch, clock).free() == pytest.approx(4 - busy)


def test_two_runs_that_start_together_take_one_look(monkeypatch: pytest.MonkeyPatch, four_cores: None) -> None:
    clock = Clock(4, 1.0)
    looking = watch(monkeypatch, clock)
    assert looking.free() == looking.free()
    assert clock.looks == 2
    clock.now += 3600.0  # what was busy then says nothing now
    before = clock.now
    looking.free()
    assert (clock.looks, clock.now) == (4, before + cores.SHORTEST)


def test_every_core_counts_as_free_where_the_system_does_not_tell(
    monkeypatch: pytest.MonkeyPatch, four_cores: None
) -> None:
    monkeypatch.setattr(Look, "now", lambda: None)
    assert Watch().free() == 4


@pytest.mark.parametrize(
    ("membership", "files", "limits"),
    [
        ("0::/\n", {"cpu.max": "150000 100000"}, [1.5]),
        ("0::/\n", {"cpu.max": "max 100000"}, []),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, [3.0]),
        ("3:cpu,cpuacct:/a\n2:memory:/a\n", {"cpu,cpuacct/a/cpu.cfs_quota_us": "50000",
         "cpu,cpuacct/a/cpu.cfs_period_us": "100000"}, [0.5]),
        ("3:cpu:/a\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, []),
        ("3:cpu:/host/only\n", {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, [2.0]),
    ],
)  # fmt: skip
def test_limits_of_control_groups_are_found(
    tmp_path: Path, membership: str, files: dict[str, str], limits: list[float]
) -> None:
    (tmp_path / "membership").write_text(membership)
    for name, text in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert list(cores._quotas(tmp_path / "membership", tmp_path / "root")) == limits


def test_a_limit_of_the_control_group_bounds_the_cores(monkeypatch: pytest.MonkeyPatch, four_cores: None) -> None:
    monkeypatch.setattr(cores, "_quotas", lambda *_: iter((1.5,)))
    assert allowed_cores() == 1.5
    assert watch(monkeypatch, Clock(4, 0.0)).free() == 1.5


@pytest.mark.parametrize(("busy", "number"), [(0.0, 4), (0.4, 4), (0.6, 3), (2.0, 2), (3.9, 1), (4.0, 1)])
def test_auto_takes_the_cores_that_are_free(
    monkeypatch: pytest.MonkeyPatch, four_cores: None, busy: float, number: int
) -> None:
    watch(monkeypatch, Clock(4, busy))
    assert choose_threads("auto", 4).number == number
    assert choose_threads("auto", 2).number == min(2, number)


def test_what_somebody_has_said_is_kept(monkeypatch: pytest.MonkeyPatch, four_cores: None) -> None:
    watch(monkeypatch, Clock(4, 4.0))
    assert choose_threads(3, 4) == Threads(3)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert choose_threads("auto", 4) == Threads(4)


def test_the_words_say_why(monkeypatch: pytest.MonkeyPatch, four_cores: None) -> None:
    watch(monkeypatch, Clock(4, 3.0))
    assert str(choose_threads("auto", 4)) == "1 thread (1.0 of 4 cores are free)"
    assert str(choose_threads(2, 4)) == "2 threads"


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    kept = sys.modules["torch"]
    del sys.modules["torch"]
    yield
    sys.modules["torch"] = kept


def test_threads_wait_passively_beside_other_work_only(
    monkeypatch: pytest.MonkeyPatch, four_cores: None, no_torch: None
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "")  # so that it is put back
    del os.environ["OMP_WAIT_POLICY"]
    watch(monkeypatch, Clock(4, 0.1))
    wait_passively_if_busy()
    assert "OMP_WAIT_POLICY" not in os.environ
    watch(monkeypatch, Clock(4, 1.0))
    wait_passively_if_busy()
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
    os.environ["OMP_WAIT_POLICY"] = "active"
    wait_passively_if_busy()
    assert os.environ["OMP_WAIT_POLICY"] == "active"


def test_a_run_that_goes_on_decides_how_threads_wait_before_torch_is_imported(tmp_path: Path) -> None:
    program = """if True:
        import os, sys
        from zoo.cli.app import main
        from zoo.system.cores import Watch

        Watch.free = lambda self: 0.0
        try:
            main(["train", "quickstart", "--resume", "--set", "training.epochs=wrong"])
        except SystemExit:
            assert "torch" in sys.modules
            print(os.environ.get("OMP_WAIT_POLICY"))
        """
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert found.stdout.split() == ["passive"], found.stderr
