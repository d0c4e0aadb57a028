"""The contract of a view: its parameters, the models that it makes sense for, and images as JSON can hold them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from zoo.errors import ZooError
from zoo.registered import Registered
from zoo.registry import Registry
from zoo.system.image_files import encode_png

Answer = dict[str, Any]
"""Values that JSON can hold, by name."""

P = TypeVar("P", bound="Parameters")
Answering = TypeVar("Answering", bound=Callable[..., Answer])

ModelName = Annotated[str, Field(min_length=1, max_length=200)]
"""The name of an open model."""

Number = Annotated[float, Field(ge=-1e6, le=1e6)]
"""A coordinate of a code."""


class Parameters(BaseModel):
    """The parameters of a question: unknown ones are errors, all are bounded."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelParameters(Parameters):
    """The parameters of a question about one model."""

    model: ModelName


@dataclass(frozen=True, kw_only=True)
class View(Registered):
    """A view: the function that answers its questions, and the models that it makes sense for."""

    parameters: type[Parameters]
    """The model of the parameters."""
    fits: Callable[[Any], str | None]
    """A function of an :class:`~zoo.explorer.session.OpenModel`: None where the view makes sense, or the sentence why
    not."""
    unfinished: bool
    """True if the view shows runs that are still in training, which have no weights yet."""

    def answer(self, session: Any, parameters: Mapping[str, Any]) -> Answer:
        """Check the parameters of a question to a :class:`~zoo.explorer.session.Session`, and answer it.

        Raises:
            ZooError: a parameter is wrong, or the question has no answer.
        """
        return dict(self.build(session, checked(self.parameters, parameters, self.name)))


VIEWS: Registry[View] = Registry("view", "zoo.explorer.views")


def register_view(
    name: str,
    parameters: type[Parameters],
    *,
    fits: Callable[[Any], str | None] = lambda model: None,
    unfinished: bool = False,
) -> Callable[[Answering], Answering]:
    """Decorate the function that answers a view's questions: from a :class:`Session` and parameters to JSON values.

    Args:
        name: the view's name, that of its file.
        parameters: the pydantic model of the parameters.
        fits: a function of an open model that returns None where the view makes sense for it, or the sentence why not.
        unfinished: take runs that are still in training as well, which have no weights yet.
    """

    def decorate(answer: Answering) -> Answering:
        VIEWS.add(View(name=name, build=answer, parameters=parameters, fits=fits, unfinished=unfinished))
        return answer

    return decorate


def checked(kind: type[P], parameters: Mapping[str, Any], view: str) -> P:
    """Return the parameters of a question, checked.

    Raises:
        ZooError: one is wrong; says which, in one sentence.
    """
    try:
        return kind.model_validate(parameters)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "parameters"
        raise ZooError(f"the view {view!r} cannot take {place}: {first['msg']}") from error


def png(image: Tensor) -> str:
    """Return an image (C, H, W) in [0, 1] as the address of a PNG file that holds it: ``data:image/png;base64,...``."""
    return "data:image/png;base64," + base64.b64encode(encode_png(image)).decode()


def sheet(images: Tensor, columns: int = 0) -> Answer:
    """Return images (N, C, H, W) in [0, 1] side by side in one PNG file, row by row.

    Args:
        images: the images; there is at least one.
        columns: the number of images in a row; 0: as many as make it about square.

    Returns:
        The file as ``png``, the number of images as ``count`` and of ``columns``, and their ``height`` and ``width``.
    """
    count, channels, height, width = images.shape
    columns = min(columns, count) if columns else int(max(1, count - 1) ** 0.5) + 1
    rows = -(-count // columns)
    cells = images.new_zeros(rows * columns, channels, height, width)
    cells[:count] = images
    tiled = cells.reshape(rows, columns, channels, height, width).permute(2, 0, 3, 1, 4)
    return {
        "png": png(tiled.reshape(channels, rows * height, columns * width)),
        "count": count,
        "columns": columns,
        "height": height,
        "width": width,
    }
