"""A process beside this one: its work, its failures, and that nothing outlives the process that started it."""

from __future__ import annotations

import sys

import pytest

from tests.helpers import python

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a process is forked on Linux only")

CODE = """
import os, signal, sys, time
from zoo.system import beside

def gone(pid):
    for _ in range(1000):
        try:
            state = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.005)
    return False

# It dies with a process that is killed, and with one that ends.
for end in ("SIGKILL", "exit"):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, str(beside.Beside(lambda: None, sorted).process.pid).encode())
        if end == "exit":
            sys.exit()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert gone(int(os.read(reading, 20))), end
# The work begins when it is sent, and its result comes back; what is taken is not taken twice.
beside.start(lambda: sum(range(3_000_000)), sorted)
process = beside.taken()
assert beside.taken() is None
process.send([3, 1, 2])
assert process.receive() == [1, 2, 3]
assert gone(process.process.pid)

# A failure ends the wait, and so does a death; neither writes to the standard error.
for argument, death in ((None, False), ([], True)):
    process = beside.Beside(lambda: None, sorted)
    if death:
        os.kill(process.process.pid, signal.SIGKILL)
        assert gone(process.process.pid)
    try:
        process.send(argument)
        process.receive()
    except (EOFError, OSError):
        continue
    raise AssertionError("nobody noticed")

# Ctrl-C is for the process that started it.
process = beside.Beside(lambda: os.kill(os.getpid(), signal.SIGINT), sorted)
process.send([1])
assert process.receive() == [1]

# It ends at once when it is told to, whatever the process that started it does then.
signal.signal(signal.SIGTERM, lambda *_: None)
for _ in range(20):
    process = beside.Beside(lambda: time.sleep(60), sorted)
    process.process.terminate()
    process.process.join(10)
    assert process.process.exitcode == -signal.SIGTERM, process.process.exitcode
signal.signal(signal.SIGTERM, signal.SIG_DFL)

# What it computes counts as this process's own.
beside.start(lambda: sum(range(3_000_000)), sorted)
while not beside.cpu_seconds():
    time.sleep(0.005)
print("done")
"""


def test_a_process_beside_this_one_works_fails_and_ends() -> None:
    done = python("-c", CODE)
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_none_is_started_beside_torch() -> None:
    from zoo.system import beside

    beside.start(print, print)  # torch is imported
    assert beside.taken() is None and beside.cpu_seconds() == 0
