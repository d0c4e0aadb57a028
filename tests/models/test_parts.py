"""Decoding in parts gives what decoding as a whole gives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.helpers import tiny_recipe_of
from zoo.models import parts
from zoo.models.build import build
from zoo.models.parts import decoded_in_parts


@pytest.mark.parametrize("variant", ["conv_vae", "conditional_vae", "vq_vae"])
def test_images_are_the_same_in_parts_and_as_a_whole(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(tiny_recipe_of(variant)).eval()
    labels = torch.arange(7) % model.classes if model.classes else None
    z = model.prior.sample(7, torch.Generator().manual_seed(0))
    whole = model.decode(z, labels).mean.detach()
    monkeypatch.setattr(parts, "PIXELS_IN_CACHE", 2 * whole[0].numel())
    with torch.no_grad():
        assert torch.allclose(model.decode(z, labels).mean, whole, atol=1e-6)


class Counting(nn.Module):
    """A decoder that remembers the sizes of its batches."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers, self.sizes = nn.Sequential(*layers), list[int]()

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        self.sizes.append(len(z))
        assert len(condition) == len(z)
        images: Tensor = self.layers(z)
        return images


def test_only_what_gains_by_it_is_computed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PIXELS_IN_CACHE", 3 * 16)
    convolutional = Counting(nn.Unflatten(1, (1, 2, 2)), nn.ConvTranspose2d(1, 1, 2, stride=2)).eval()
    connected = Counting(nn.Linear(4, 16), nn.Unflatten(1, (1, 4, 4))).eval()
    z, condition = torch.randn(7, 4), torch.randn(7, 2)

    def sizes(decoder: Counting, codes: Tensor = z) -> list[int]:
        decoder.sizes.clear()
        assert decoded_in_parts(decoder, codes, condition, image_shape=(1, 4, 4)).shape == (7, 1, 4, 4)
        return list(decoder.sizes)

    assert sizes(convolutional) == [7]  # for the gradients
    with torch.no_grad():
        assert sizes(convolutional) == [3, 3, 1]
        assert sizes(connected) == [7]
        assert sizes(convolutional.train()) == [7]  # BatchNorm looks at the batch
        convolutional.eval()
        exported = torch.export.export(convolutional, (z, condition))
        assert [node.target for node in exported.graph.nodes].count(torch.ops.aten.cat.default) == 0
