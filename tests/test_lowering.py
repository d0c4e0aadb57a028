"""Without a GPU: the compiled step of every variant is lowered for CUDA, and its kernels are compiled and counted."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from contextlib import nullcontext

import pytest
import torch

from tests.benchmarks.lowering import (
    PAGE,
    PRECISIONS,
    STACKED,
    LoweredSteps,
    Lowering,
    check_gradients,
    read,
    render_lowered,
)
from tests.helpers import SHIPPED_VARIANTS, python
from zoo.errors import ZooError
from zoo.registry import list_variants

cuda_build = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None or torch.version.cuda is None,
    reason="needs torch built for CUDA, which brings triton",
)
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="stands in for a GPU; test_gpu.py runs on this one")


LARGE = ("bn_vae", "conv_vae", "vq_vae")

LOWERED = [
    ("bf16", 1, [variant for variant in list_variants() if variant not in (*LARGE, "vae")]),
    ("bf16", 1, ["bn_vae", "conv_vae"]),
    ("bf16", 1, ["vq_vae"]),
    ("fp32", 1, ["vae", "conv_vae"]),
    ("fp32", STACKED, ["linear_vae"]),
]
"""What is lowered, each in a process: every variant, most of them in bfloat16, which adds copies of weights. The `vae`
with its own network takes the step of `linear_vae`."""


@pytest.mark.slow
@cuda_build
@without_gpu
@pytest.mark.parametrize(("precision", "seeds", "variants"), LOWERED, ids=lambda value: str(value).strip("[]"))
def test_the_compiled_step_of_every_variant_is_lowered_for_cuda(
    precision: str, seeds: int, variants: Sequence[str]
) -> None:
    which = "--variants", *variants, "--precisions", precision, "--seeds", str(seeds)
    found = python("-m", "tests.benchmarks.lowering", *which, "--json")
    assert found.returncode == 0, found.stderr[-3000:]
    steps = LoweredSteps.model_validate(json.loads(found.stdout)).steps
    assert [(step.variant, step.precision, step.seeds) for step in steps] == [(v, precision, seeds) for v in variants]
    assert all(step.library_calls < step.kernels <= step.uncombined for step in steps)
    stored = read()
    if stored.versions["torch"] != str(torch.__version__):
        pytest.skip(f"the stored counts are those of torch {stored.versions['torch']}, this is {torch.__version__}")
    before = {(step.variant, step.precision, step.seeds): step for step in stored.steps}
    expected = [before[variant, precision, seeds] for variant in variants]
    assert list(steps) == expected, "if the change is meant: python -m tests.benchmarks.lowering"


IMAGES = "assert_size_stride(buf1, (8, 2, 14, 14), {}, 'torch.ops.aten.convolution_backward.default')"
WEIGHT = "assert_tensor_metadata(buf2, (2, {}, 15, 15), (225, 1, 15, 1), torch.float32)"
CALL = (
    "buf0 = torch.ops.aten.convolution_backward.default(a, b, c, [1], (1, 1), (0, 0), (1, 1), True, (0, 0), 1, [True])"
)


@pytest.mark.parametrize(
    ("strides", "channels", "refused"),
    [("(392, 1, 28, 2)", 1, "channels last"), ("(392, 196, 14, 1)", 1, None), ("(392, 1, 28, 2)", 3, None)],
)
def test_a_gradient_that_cudnn_lays_out_otherwise_is_refused(strides: str, channels: int, refused: str | None) -> None:
    code = "\n".join([f"    {CALL}", f"    {IMAGES.format(strides)}", f"    {WEIGHT.format(channels)}"])
    with pytest.raises(ZooError, match=refused) if refused else nullcontext():
        check_gradients(Lowering(code, 0.0, ()))
    with pytest.raises(ZooError, match="does not say"):
        check_gradients(Lowering(f"    {CALL}\n", 0.0, ()))


def test_the_stored_counts_are_those_of_every_variant_and_stand_on_the_page() -> None:
    counted = {(step.variant, step.precision, step.seeds) for step in read().steps}
    shipped = {(variant, precision, 1) for variant in SHIPPED_VARIANTS for precision in PRECISIONS}
    stacked = {(variant, "fp32", STACKED) for variant in SHIPPED_VARIANTS}
    assert counted == shipped | stacked, "python -m tests.benchmarks.lowering"
    assert render_lowered() in PAGE.read_text(encoding="utf-8")
