"""The network whose layers are handed in from Python: no recipe can choose it without somebody who does.

So no list has it, and the checks that go through all networks need not build it.
"""

from __future__ import annotations

from math import prod
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from zoo.errors import ZooError, first_line
from zoo.models.own_modules import handed_in
from zoo.networks._base import Network
from zoo.registered import WithConfig
from zoo.registry import NETWORKS
from zoo.schema.base import ImageShape, NetworkConfig, format_shape

IMPORT = r"^[\w.<>]*(:[\w.<>]+)?$"
TRIED = 2
"""The number of images, without content, that shapes are found with."""


class OwnConfig(NetworkConfig):
    """An encoder and a decoder of the user's own, handed in from Python."""

    name: Literal["own"] = "own"
    encoder: str = Field(
        "", pattern=IMPORT, max_length=300, description="The class of the encoder, `module:class`, for information."
    )
    decoder: str = Field(
        "", pattern=IMPORT, max_length=300, description="The class of the decoder, `module:class`, for information."
    )


def own(config: OwnConfig, shape: ImageShape, condition: int = 0) -> Network:
    """Put the encoder and the decoder that are handed in behind one another, and check their shapes.

    Raises:
        ZooError: none are handed in, or their shapes do not fit the images, the code or the likelihood.
    """
    modules = handed_in(f"{config.encoder or 'unnamed'} and {config.decoder or 'unnamed'}")
    images = (shape[0] + condition, *shape[1:])
    encoder = modules.make("encoder")
    features = _tried(encoder, "encoder", images)
    if len(features) not in (1, 3):
        raise ZooError(
            f"the encoder makes {format_shape(features)} of an image; it must make F features or a map, Fxhxw"
        )

    def decoder(code: tuple[int, ...], outputs: ImageShape) -> list[nn.Module]:
        made = modules.make("decoder")
        found = _tried(made, "decoder", code)
        if found != outputs:
            raise ZooError(
                f"the decoder makes {format_shape(found)} of a code of {format_shape(code)}; here it must make "
                f"{format_shape(outputs)}: the channels of an image, times the outputs of the likelihood, and its "
                f"height and width"
            )
        return [made]

    def flat(code: int, outputs: ImageShape) -> list[nn.Module]:
        return decoder((code + condition,), outputs)

    def grid(code: int, outputs: ImageShape) -> list[nn.Module]:
        return decoder((code + condition, *features[1:]), outputs)

    if len(features) == 1:
        return Network([encoder], features, flat)
    return Network([encoder, nn.Flatten()], (prod(features),), flat, grid=Network([encoder], features, grid))


@torch.no_grad()
def _tried(module: nn.Module, role: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of what a module makes of one image or code of a shape, found with a batch of zeros.

    Raises:
        ZooError: it cannot take them, or makes something else than a tensor of one for each.
    """
    was_training = module.training
    try:
        made: Any = module.eval()(torch.zeros(TRIED, *shape, dtype=torch.float32))  # eval: nothing is averaged
    except Exception as error:  # of any kind: it is the user's code
        what = "images" if role == "encoder" else "codes"
        raise ZooError(f"the {role} cannot take {what} of {format_shape(shape)}: {first_line(error)}") from error
    module.train(was_training)
    if not isinstance(made, Tensor) or made.dim() < 2 or len(made) != TRIED or not made.is_floating_point():
        found = f"{made.dtype} {tuple(made.shape)}" if isinstance(made, Tensor) else type(made).__name__
        raise ZooError(f"the {role} makes {found} of {TRIED} of {format_shape(shape)}; it must make a tensor of floats")
    return tuple(made.shape[1:])


NETWORKS.add(WithConfig(name="own", build=own, config=OwnConfig), listed=False)
