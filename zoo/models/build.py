"""Building an untrained model from a recipe, or from a variant's name and settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from zoo.errors import ZooError, first_line
from zoo.models.autoencoder import Autoencoder
from zoo.models.inputs import described
from zoo.models.own_modules import OWN, Module, handing_in
from zoo.registry import VARIANTS
from zoo.schema.axes import narrowed, up_to_date
from zoo.schema.base import ImageShape, VariantConfig
from zoo.schema.parsing import validate
from zoo.schema.recipe import Recipe
from zoo.system.memory import explaining_memory
from zoo.system.process import initial_weights


def build(recipe: Recipe) -> Autoencoder:
    """Build a recipe's model with fresh weights, drawn from torch's default generator; needs no data.

    Raises:
        ZooError: the variant cannot take the dataset's image shape, or is too large; or there is no recipe.
    """
    if not isinstance(recipe, Recipe):
        raise ZooError(
            f"give a recipe, as zoo.recipe or zoo.schema.read_recipe returns it; got {described(recipe)} "
            f"(zoo.create_model takes a variant and its settings)"
        )
    return build_variant(recipe.model, recipe.data.image_shape)


def build_variant(config: VariantConfig, shape: ImageShape) -> Autoencoder:
    """Build a model from its settings and an image shape (C, H, W), as :func:`build` does.

    Raises:
        ZooError: the variant cannot take such images, is too large, or its builder returns something else, such as a
            model of another number of classes.
    """
    try:
        with explaining_memory(), initial_weights():
            model: Autoencoder = VARIANTS.get(config.variant).build(config, shape)
    except (RuntimeError, OverflowError) as error:  # what torch raises for sizes that no tensor has
        raise ZooError(
            f"cannot build a {config.variant} of these sizes ({first_line(error)}); make it smaller"
        ) from error
    if not isinstance(model, Autoencoder):
        kind = type(model).__name__
        raise ZooError(
            f"the builder of the variant {config.variant!r} returned a {kind}; it must return an Autoencoder"
        )
    if model.classes != config.classes:
        raise ZooError(
            f"the variant {config.variant!r} built a model of {model.classes} classes where the setting classes is "
            f"{config.classes}; its builder must hand config.classes on to the Autoencoder, or refuse it"
        )
    return model


def create_model(
    variant: str,
    *,
    image_shape: Sequence[int],
    encoder: Module | None = None,
    decoder: Module | None = None,
    **settings: Any,
) -> Autoencoder:
    """Create an untrained model, an ordinary ``nn.Module``, from a variant's name and settings.

    >>> import zoo
    >>> model = zoo.create_model("vae", image_shape=(3, 64, 64), latent_dim=32)
    >>> model.sample(4).shape
    torch.Size([4, 3, 64, 64])

    Args:
        variant: the name of a variant, one of :func:`zoo.list_variants`.
        image_shape: channels, height and width of the images.
        encoder: a module of your own in place of the network's, from images to features, or what makes one; as in
            :func:`zoo.models.handing_in`.
        decoder: the same from codes to images.
        settings: fields of a recipe's model section, such as ``latent_dim=32`` or
            ``network={"name": "conv", "channels": [32, 64]}``; the others have the variant's defaults.

    Returns:
        A model in training mode on torch's default device, its weights drawn from torch's default generator.

    Raises:
        UnknownNameError: there is no such variant; shows the close matches.
        ZooError: a setting is unknown or out of range, or the variant cannot take such images; or the shapes of
            encoder and decoder do not fit.
    """
    where = f"create_model({variant!r})"
    if not isinstance(variant, str):
        raise ZooError(f"{where}: give the name of a variant, as in create_model('vae', ...)")
    shape = tuple(image_shape) if isinstance(image_shape, Sequence) else ()
    if len(shape) != 3 or not all(isinstance(size, int) and 0 < size <= 2**20 for size in shape):
        raise ZooError(f"{where}: image_shape is {image_shape}; give channels, height and width, as in (1, 28, 28)")
    try:
        fields = json.loads(json.dumps(settings))
    except (TypeError, ValueError, RecursionError) as error:
        raise ZooError(f"{where}: {error}; settings are numbers, words, lists and dicts") from error
    config = VARIANTS.get(variant).config
    fields = up_to_date(config, config.from_older(fields))
    with handing_in(encoder, decoder) as own:
        if encoder is not None and own:
            if "network" in fields or "network" not in config.model_fields:
                raise ZooError(
                    f"{where}: encoder and decoder take the place of a network; "
                    + ("drop network" if "network" in fields else "choose a variant that takes any, such as vae")
                )
            fields["network"] = {"name": OWN, **own.imports}
        schema = narrowed(config, fields, where)
        return build_variant(validate(schema, {"variant": variant, **fields}, where), shape)
