"""Products whose factors CUDA may round to TF32."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.models.numerics import product_in_32_bits, split_for_tf32


def tf32(x: Tensor) -> Tensor:
    """Round as tensor cores do: to 10 bits of the fraction."""
    return ((x.view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


def test_a_split_number_is_the_sum_of_its_parts_and_the_first_part_fits_into_tf32() -> None:
    x = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    high, rest = split_for_tf32(x)
    assert torch.equal(high + rest, x)
    assert torch.equal(tf32(high), high)
    assert (rest.abs() <= 2.0**-10 * x.abs()).all()


def test_three_products_in_tf32_are_as_good_as_one_in_32_bits() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(shape, generator=generator) for shape in ((200, 64), (64, 50)))
    exact = a.double() @ b.double()

    def worst(found: Tensor) -> float:
        return float((found - exact).abs().max() / exact.abs().max())

    (a_high, a_rest), (b_high, b_rest) = split_for_tf32(a), split_for_tf32(b)
    three = (tf32(a_rest) @ tf32(b_high) + tf32(a_high) @ tf32(b_rest)) + tf32(a_high) @ tf32(b_high)
    assert worst(tf32(a) @ tf32(b)) > 1e-4
    assert worst(three) < 2e-6
    assert torch.equal(product_in_32_bits(a, b), a @ b)  # on a CPU
