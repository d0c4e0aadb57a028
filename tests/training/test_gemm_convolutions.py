"""Convolutions as matrix products against torch's own: values, gradients, and switching between the two."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.helpers import SHIPPED_VARIANTS, tiny_recipe_of
from zoo.models.autoencoder import Autoencoder
from zoo.models.build import build
from zoo.training import gemm_convolutions
from zoo.training.gemm_convolutions import (
    Convolution,
    GemmConv2d,
    GemmConvTranspose2d,
    gemm_is_faster,
    product,
    splits_for,
    use_gemm,
)

CONVOLUTIONS: list[dict[str, Any]] = [
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 4, "stride": 2, "padding": 1},
    {"kernel_size": 7},
    {"kernel_size": 1},
    {"kernel_size": 1, "stride": 2},
    {"kernel_size": (3, 2), "stride": (1, 3), "padding": (0, 2)},
    {"kernel_size": 3, "stride": 2, "padding": 1, "bias": False},
]
TRANSPOSED: list[dict[str, Any]] = [
    {"kernel_size": 4, "stride": 2, "padding": 1},
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 8},
    {"kernel_size": 15},
    {"kernel_size": 2, "stride": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1},
    {"kernel_size": 7},
    {"kernel_size": 1},
    {"kernel_size": 1, "stride": 2, "output_padding": 1},  # smaller than the stride: outputs without a tap
    {"kernel_size": 5, "stride": 3, "padding": 4},  # taps that are cut off altogether
    {"kernel_size": 2, "stride": 3, "padding": 0, "output_padding": 2},
    {"kernel_size": (2, 5), "stride": (3, 2), "padding": (0, 1), "output_padding": (2, 0)},
    {"kernel_size": 4, "stride": 2, "padding": 1, "bias": False},
]
CASES = [(nn.Conv2d, c) for c in CONVOLUTIONS] + [(nn.ConvTranspose2d, c) for c in TRANSPOSED]
every_layer = pytest.mark.parametrize(
    ("kind", "settings"),
    CASES,
    ids=[f"{kind.__name__}-{'-'.join(f'{k[:6]}={v}' for k, v in c.items())}".replace(" ", "") for kind, c in CASES],
)
every_kind = pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])


def layers(kind: type[nn.Module], dtype: torch.dtype = torch.float64, **settings: Any) -> tuple[Any, Any]:
    """torch's layer with 3 input and 4 output channels, and the same one through the product."""
    torch.manual_seed(0)
    library = kind(3, 4, **settings).to(dtype)
    switched = copy.deepcopy(library)
    assert use_gemm(switched) == 1
    assert type(switched) in (GemmConv2d, GemmConvTranspose2d)
    return library, switched


def images(h: int, w: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(2, 3, h, w, dtype=dtype, generator=torch.Generator().manual_seed(1))


def with_gradients(layer: nn.Module, x: Tensor, *arguments: Any) -> list[Tensor]:
    """The output, and the gradients of a fixed function of it: of the input, then of the parameters."""
    x = x.detach().requires_grad_()
    out = layer(x, *arguments)
    generator = torch.Generator().manual_seed(2)
    cotangent = torch.rand(out.shape, generator=generator).to(out)  # of one sign: float32 sums do not cancel
    return [out, *torch.autograd.grad((out * cotangent).sum(), [x, *layer.parameters()])]


@every_layer
@pytest.mark.parametrize(("h", "w"), [(7, 7), (8, 8), (9, 12)], ids=["7x7", "8x8", "9x12"])
def test_values_and_gradients_are_those_of_torch(
    kind: type[nn.Module], settings: dict[str, Any], h: int, w: int
) -> None:
    library, switched = layers(kind, **settings)
    x = images(h, w)
    expected = with_gradients(library, x)
    for found in (with_gradients(switched, x), with_gradients(switched, x.to(memory_format=torch.channels_last))):
        torch.testing.assert_close(found, expected)
        assert found[0].is_contiguous(memory_format=torch.channels_last)


@every_kind
def test_a_single_image_needs_no_batch_dimension_and_a_batch_may_be_empty(kind: type[nn.Module]) -> None:
    library, switched = layers(kind, kernel_size=4, stride=2, padding=1)
    x = images(6, 5)
    torch.testing.assert_close(switched(x[0]), library(x[0]))
    torch.testing.assert_close(switched(x[:0]), library(x[:0]))


@pytest.mark.parametrize("size", [(13, 9), (14, 10), (2, 4, 14, 9)])
def test_a_transposed_convolution_takes_the_size_of_its_output(size: tuple[int, ...]) -> None:
    library, switched = layers(nn.ConvTranspose2d, kernel_size=3, stride=2, padding=1)
    x = images(7, 5)
    torch.testing.assert_close(with_gradients(switched, x, size), with_gradients(library, x, size))
    with pytest.raises(ValueError, match="requested an output size"):
        switched(x, (15, 9))


def test_an_image_smaller_than_the_kernel_is_refused_as_by_torch() -> None:
    with pytest.raises(RuntimeError, match="Kernel size can't be greater than actual input size"):
        layers(nn.Conv2d, kernel_size=3)[1](images(2, 5))


@every_kind
def test_the_gradients_are_those_of_finite_differences(kind: type[nn.Module]) -> None:
    _, switched = layers(kind, kernel_size=3, stride=2, padding=1)
    weights = dict(switched.named_parameters())
    inputs = [images(4, 3).requires_grad_(), *weights.values()]

    def apply(x: Tensor, *parameters: Tensor) -> Tensor:
        found: Tensor = torch.func.functional_call(switched, dict(zip(weights, parameters, strict=True)), (x,))
        return found

    assert torch.autograd.gradcheck(apply, inputs)


@pytest.mark.parametrize("splits", [1, 2, 8])
def test_splitting_the_rows_changes_neither_the_product_nor_its_gradients(splits: int) -> None:
    generator = torch.Generator().manual_seed(0)
    rows, weight, cotangent = (
        torch.randn(s, dtype=torch.float64, generator=generator) for s in ((24, 5), (5, 3), (24, 3))
    )
    rows.requires_grad_()
    weight.requires_grad_()
    found = product(rows, weight, splits)
    torch.testing.assert_close(found, rows @ weight)
    gradients = torch.autograd.grad(found, (rows, weight), cotangent)
    torch.testing.assert_close(gradients, (cotangent @ weight.T, rows.T @ cotangent))


def test_the_rows_are_split_into_equal_parts_that_are_long_enough() -> None:
    assert [splits_for(rows) for rows in (0, 1024, 2048, 2049, 128 * 49, 128 * 196, 512 * 196)] == [
        1,
        4,
        8,
        1,
        16,
        64,
        128,
    ]


@every_kind
def test_a_layer_may_split_its_rows(kind: type[nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    library, switched = layers(kind, kernel_size=4, stride=2, padding=1)
    monkeypatch.setattr(gemm_convolutions, "product", lambda rows, weight: product(rows, weight, 4))
    torch.testing.assert_close(with_gradients(switched, images(8, 8)), with_gradients(library, images(8, 8)))


@every_kind
def test_autocast_gives_what_it_gives_with_torch(kind: type[nn.Module]) -> None:
    library, switched = layers(kind, torch.float32, kernel_size=4, stride=2, padding=1)
    x = images(8, 8, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        expected, found = with_gradients(library, x), with_gradients(switched, x)
    assert found[0].dtype == torch.bfloat16
    assert [f.dtype for f in found] == [e.dtype for e in expected]
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0.05)


@every_kind
def test_it_is_traced_as_one_graph_at_any_batch_size(kind: type[nn.Module]) -> None:
    library, switched = layers(kind, kernel_size=4, stride=2, padding=1)
    torch.compiler.reset()
    compiled = torch.compile(switched, fullgraph=True, backend="eager")
    x = images(8, 6)
    for batch in (x, x[:1], x.repeat(3, 1, 1, 1)):
        torch.testing.assert_close(with_gradients(compiled, batch), with_gradients(library, batch))


def variant(name: str) -> Autoencoder:
    torch.manual_seed(0)
    return build(tiny_recipe_of(name)).eval()


@pytest.mark.parametrize(
    ("name", "strided", "all_of_them"), [("conv_vae", 4, 4), ("bn_vae", 0, 6), ("linear_vae", 0, 0)]
)
def test_strided_convolutions_are_faster_as_products(name: str, strided: int, all_of_them: int) -> None:
    model = variant(name)
    assert use_gemm(model, which=gemm_is_faster) == strided
    assert use_gemm(model) == all_of_them - strided


@pytest.mark.parametrize("name", SHIPPED_VARIANTS)
def test_a_variant_is_switched_and_back_without_a_trace(name: str) -> None:
    model = variant(name)
    every = [layer for layer in model.modules() if isinstance(layer, Convolution)]
    all_of_them, strided = len(every), sum(map(gemm_is_faster, every))
    x, labels = torch.rand(3, 1, 28, 28), torch.tensor([0, 1, 2])
    expected, state, text = model.reconstruct(x, labels), model.state_dict(), repr(model)
    assert use_gemm(model, which=gemm_is_faster) == strided
    assert use_gemm(model) == all_of_them - strided
    torch.testing.assert_close(model.reconstruct(x, labels), expected)
    assert list(model.state_dict()) == list(state)
    model.load_state_dict(state)
    assert use_gemm(model, on=False) == all_of_them
    assert repr(model) == text
    assert torch.equal(model.reconstruct(x, labels), expected)
    assert use_gemm(model, on=False) == 0


@pytest.mark.parametrize("name", SHIPPED_VARIANTS)
def test_every_convolution_of_the_zoo_is_covered(name: str) -> None:
    model = variant(name)
    assert use_gemm(model) == sum(isinstance(layer, Convolution) for layer in model.modules())


class Derived(nn.Conv2d):
    """A convolution of somebody else's."""


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 3, dilation=2),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.ConvTranspose2d(4, 4, 3, groups=2),
        nn.ConvTranspose2d(4, 4, 3, dilation=2),
        nn.Conv1d(4, 4, 3),
        Derived(4, 4, 3),
    ],
    ids=["groups", "dilation", "reflect", "same", "transposed-groups", "transposed-dilation", "1d", "derived"],
)
def test_other_layers_are_left_alone(layer: nn.Module) -> None:
    kind = type(layer)
    assert use_gemm(nn.Sequential(layer), which=lambda _: True) == 0
    assert type(layer) is kind


def test_a_layer_that_is_not_covered_still_computes_what_torch_computes() -> None:
    x = images(8, 8, torch.float32)
    for kind, product_of in ((nn.Conv2d, GemmConv2d), (nn.ConvTranspose2d, GemmConvTranspose2d)):
        library, same = kind(3, 6, 3, groups=3, dilation=2), product_of(3, 6, 3, groups=3, dilation=2)
        same.load_state_dict(library.state_dict())
        assert torch.equal(same(x), library(x))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every_layer
def test_a_gpu_computes_what_cudnn_computes(
    kind: type[nn.Module], settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    library, switched = (layer.cuda() for layer in layers(kind, torch.float32, **settings))
    x = images(16, 16, torch.float32).repeat(64, 1, 1, 1).cuda()  # long enough to be split
    for found, expected in zip(with_gradients(switched, x), with_gradients(library, x), strict=True):
        assert (found - expected).norm() <= 1e-5 * expected.norm()
