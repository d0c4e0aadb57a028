"""What a model is given: taken where the meaning is plain, refused in one line where it is not."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import zoo
from tests.helpers import SHIPPED_VARIANTS
from zoo.errors import ZooError
from zoo.inference.image_stream import open_images
from zoo.models import Autoencoder
from zoo.registry import VARIANTS
from zoo.tasks import compress, decompress, encode, export, impute, read, score
from zoo.tasks.code_file import unpack
from zoo.tasks.depths import depths

LOADED = {
    "ae": "ae_mnist", "vae": "vae_2d_mnist", "linear_vae": "linear_vae_mnist", "conv_vae": "conv_vae_mnist",
    "bn_vae": "bn_vae_mnist", "conditional_vae": "conditional_vae_mnist", "vq_vae": "vq_vae_fashion_mnist",
}  # fmt: skip
every_variant = pytest.mark.parametrize("variant", SHIPPED_VARIANTS)


def model_of(variant: str) -> Autoencoder:
    """A trained model of a variant, or an untrained one where none is shipped."""
    if variant in LOADED:
        return zoo.load(LOADED[variant])
    torch.manual_seed(0)
    return zoo.create_model(variant, image_shape=(1, 28, 28), **VARIANTS.get(variant).tiny).eval()


def labels_of(model: Autoencoder, count: int) -> Tensor | None:
    return torch.arange(count) % model.classes if model.classes else None


@pytest.fixture(scope="module")
def x() -> Tensor:
    return torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))


NO_IMAGES: dict[str, tuple[Any, str]] = {
    "another size": (torch.rand(2, 1, 32, 32), r"float32 \(2, 1, 32, 32\)"),
    "nearly the size": (torch.rand(2, 1, 29, 29), r"float32 \(2, 1, 29, 29\)"),
    "no batch": (torch.rand(1, 28, 28), r"float32 \(1, 28, 28\)"),
    "no channel": (torch.rand(28, 28), r"float32 \(28, 28\)"),
    "flat": (torch.rand(2, 784), r"float32 \(2, 784\)"),
    "channels last": (torch.rand(2, 28, 28, 1), r"float32 \(2, 28, 28, 1\)"),
    "more channels": (torch.rand(2, 3, 28, 28), r"float32 \(2, 3, 28, 28\)"),
    "uint8": (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), r"uint8 \(2, 1, 28, 28\) \(divide by 255, as floats\)"),
    "int64": (torch.zeros(2, 1, 28, 28, dtype=torch.int64), r"int64 \(2, 1, 28, 28\) \(as floats\)"),
    "float64": (torch.zeros(2, 1, 28, 28, dtype=torch.float64), r"float64 \(2, 1, 28, 28\)"),
    "complex": (torch.zeros(2, 1, 28, 28, dtype=torch.complex64), "complex64"),
    "NumPy's uint8": (np.zeros((2, 1, 28, 28), np.uint8), "uint8"),
    "NumPy, another shape": (np.zeros((2, 28, 28)), r"float64 \(2, 28, 28\)"),
    "0 to 255": (torch.full((2, 1, 28, 28), 255.0), r"values from 255 to 255 \(divide by 255\?\)"),
    "negative": (torch.full((2, 1, 28, 28), -0.5), "values from -0.5 to -0.5"),
    "NaN": (torch.full((2, 1, 28, 28), float("nan")), "values that are no numbers"),
    "infinite": (torch.full((2, 1, 28, 28), float("inf")), "values from inf to inf"),
    "nothing": (None, "None"),
    "a list": ([[0.5]], "list"),
    "a name": ("7.png", "str"),
    "sparse": (torch.zeros(2, 1, 28, 28).to_sparse(), r"float32 \(2, 1, 28, 28\) \(sparse\)"),
    "on meta": (torch.zeros(2, 1, 28, 28, device="meta"), r"float32 \(2, 1, 28, 28\) on meta, without values"),
    "of several shapes": (
        torch.nested.as_nested_tensor([torch.rand(1, 28, 28)], layout=torch.jagged),
        "a nested tensor",
    ),
    "masked": (
        np.ma.masked_array(np.zeros((2, 1, 28, 28)), np.eye(28) * np.ones((2, 1, 1, 1))),
        r"float64 .* \(masked\)",
    ),
}


@every_variant
def test_what_is_no_batch_of_images_is_refused_in_one_line(variant: str) -> None:
    model = model_of(variant)
    labels = labels_of(model, 2)
    for value, found in NO_IMAGES.values():
        for call in (model.encode, model.reconstruct, model):
            with pytest.raises(ZooError, match=rf"^images must be \(B, 1, 28, 28\) in \[0, 1\]; got {found}[^\n]*$"):
                call(value, labels)


@every_variant
def test_images_in_an_array_or_in_another_memory_format_are_taken(variant: str, x: Tensor) -> None:
    model = model_of(variant)
    given = model.given(labels_of(model, 4))
    expected = given.reconstruct(x)
    for same in (x.numpy(), x.numpy().astype(np.float64), x.to(memory_format=torch.channels_last), x.clone() + 1e-7):
        torch.testing.assert_close(given.reconstruct(same), expected, atol=1e-4, rtol=1e-4)
    if not model.classes:
        assert given.reconstruct(x[:0]).shape == (0, 1, 28, 28)


@every_variant
def test_what_is_no_batch_of_codes_is_refused_in_one_line(variant: str) -> None:
    model = model_of(variant)
    dim = model.prior.latent_dim
    labels = labels_of(model, 2)
    others: list[Any] = [
        torch.rand(2, dim + 1),
        torch.rand(dim),
        torch.zeros(2, dim, dtype=torch.int64),
        None,
        [0],
        "z",
    ]
    for codes in others:
        with pytest.raises(ZooError, match=rf"^codes must be numbers \(B, {dim}\) in float32; got [^\n]*$"):
            model.decode(codes, labels)
    z: Any = torch.rand(2, dim)
    assert torch.equal(model.decode(z.numpy(), labels).mean, model.decode(z, labels).mean)


@every_variant
def test_what_is_no_number_of_samples_is_refused_in_one_line(variant: str) -> None:
    others: list[Any] = [-1, 1.5, "2", None, True, float("nan"), [3]]
    for n in others:
        with pytest.raises(ZooError, match=r"^the number of samples must be a whole number from 0 on; got [^\n]*$"):
            model_of(variant).sample(n)


@every_variant
def test_any_number_of_samples_is_drawn_or_refused(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model: Any = model_of(variant)
    with pytest.raises(ZooError, match=r"^1,000,000,000 samples do not fit into memory; draw at most 2,739,"):
        model.sample(10**9)
    assert model.sample(0).shape == (0, 1, 28, 28)
    assert model.sample(np.int64(2)).shape == (2, 1, 28, 28)
    whole = model.sample(5, torch.Generator().manual_seed(1))
    monkeypatch.setattr("zoo.models.autoencoder.SAMPLES_AT_ONCE", 2)
    parts = model.sample(5, torch.Generator().manual_seed(1))
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-4)
    with pytest.raises(ZooError, match=r"generator must be a torch.Generator or None; got int"):
        model.sample(2, 0)


@pytest.fixture(scope="module")
def conditional() -> Autoencoder:
    return zoo.load("conditional_vae_mnist")


FOUR = torch.tensor([1, 2, 3, 4])
LABELS: dict[str, tuple[Any, list[int]]] = {
    "one-hot": (torch.eye(10)[1:5], [1, 2, 3, 4]),
    "one-hot of truth values": (torch.eye(10)[1:5].bool(), [1, 2, 3, 4]),
    "a list": ([1, 2, 3, 4], [1, 2, 3, 4]),
    "a tuple": ((1, 2, 3, 4), [1, 2, 3, 4]),
    "an array": (np.array([1, 2, 3, 4]), [1, 2, 3, 4]),
    "a one-hot array": (np.eye(10)[1:5], [1, 2, 3, 4]),
    "int32": (FOUR.int(), [1, 2, 3, 4]),
    "uint8": (FOUR.to(torch.uint8), [1, 2, 3, 4]),
    "whole floats": (FOUR.float(), [1, 2, 3, 4]),
    "a column": (FOUR[:, None], [1, 2, 3, 4]),
    "a column of ones": (torch.ones(4, 1), [1, 1, 1, 1]),
    "one for all, in a tensor": (torch.tensor([3]), [3, 3, 3, 3]),
    "one for all, a scalar": (torch.tensor(3), [3, 3, 3, 3]),
    "one for all, a number": (3, [3, 3, 3, 3]),
    "one for all, NumPy's": (np.int64(3), [3, 3, 3, 3]),
    "of the other byte order": (np.array([1, 2, 3, 4], ">i4"), [1, 2, 3, 4]),
    "backwards in memory": (np.array([4, 3, 2, 1])[::-1], [1, 2, 3, 4]),
    "uint64": (np.array([1, 2, 3, 4], np.uint64), [1, 2, 3, 4]),
    "masked nowhere": (np.ma.masked_array([1, 2, 3, 4], [False] * 4), [1, 2, 3, 4]),
}
NO_LABELS: dict[str, Any] = {
    "too large": torch.tensor([0, 1, 2, 10]),
    "negative": torch.tensor([0, 1, 2, -1]),
    "a number too large": 10,
    "fractions": torch.tensor([0.5, 1, 2, 3]),
    "NaN": torch.tensor([float("nan"), 1, 2, 3]),
    "infinite": torch.tensor([float("inf"), 1, 2, 3]),
    "too few": torch.tensor([1, 2]),
    "too many": torch.arange(5),
    "too many in a list": [1, 2, 3, 4, 5],
    "none": [],
    "names": ["a", "b", "c", "d"],
    "a name": "3",
    "not one-hot": torch.ones(4, 10),
    "one-hot of other classes": torch.eye(4),
    "ragged": [[1], [1, 2]],
    "truth values": torch.tensor([True, False, True, False]),
    "a dict": {"labels": 3},
    "too large in uint16": np.array([300, 1, 2, 3], np.uint16),
    "too large in uint64": np.array([2**63 + 1, 1, 2, 3], np.uint64),
    "too large for any": [2**70] * 4,
    "sparse": FOUR.to_sparse(),
    "on meta": torch.zeros(4, device="meta"),
    "of several shapes": torch.nested.as_nested_tensor([FOUR, FOUR[:2]], layout=torch.jagged),
    "masked": np.ma.masked_array([1, 2, 3, 4], [False, False, False, True]),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_are_taken_where_their_meaning_is_plain(conditional: Autoencoder, x: Tensor, kind: str) -> None:
    labels, meant = LABELS[kind]
    expected = torch.tensor(meant)
    z = torch.zeros(4, conditional.prior.latent_dim)
    assert torch.equal(conditional.encode(x, labels).mean, conditional.encode(x, expected).mean)
    assert torch.equal(conditional.decode(z, labels).mean, conditional.decode(z, expected).mean)
    assert torch.equal(conditional.reconstruct(x, labels), conditional.reconstruct(x, expected))
    given = conditional.given(labels)
    assert torch.equal(given.decode(given.encode(x).mean).mean, conditional.reconstruct(x, expected))
    drawn, again = (conditional.sample(4, torch.Generator().manual_seed(0), y) for y in (labels, expected))
    assert torch.equal(drawn, again)


@pytest.mark.parametrize("kind", NO_LABELS)
def test_other_labels_are_refused_in_one_line(conditional: Autoencoder, x: Tensor, kind: str) -> None:
    labels = NO_LABELS[kind]
    z = torch.zeros(4, conditional.prior.latent_dim)
    calls = [
        lambda: conditional.encode(x, labels), lambda: conditional.decode(z, labels),
        lambda: conditional.reconstruct(x, labels), lambda: conditional(x, labels),
        lambda: conditional.sample(4, labels=labels), lambda: conditional.given(labels).encode(x),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(ZooError, match=r"^labels must be whole numbers (\(4,\) )?from 0 to 9; got [^\n]*$"):
            call()


def test_several_codes_for_each_image_have_its_label(conditional: Autoencoder) -> None:
    z = torch.rand(8, conditional.prior.latent_dim)
    expected = conditional.decode(z, FOUR.repeat(2)).mean
    same: list[Any] = [FOUR, torch.eye(10)[1:5], [1, 2, 3, 4]]
    for labels in same:
        assert torch.equal(conditional.given(labels).decode(z).mean, expected)


@every_variant
def test_the_function_transforms_of_torch_still_pass_through(variant: str, x: Tensor) -> None:
    model = model_of(variant)
    if model.classes:
        return
    alone = model.encode(x).mean
    mapped = torch.func.vmap(lambda image: model.encode(image[None]).mean[0])(x)
    torch.testing.assert_close(mapped, alone, atol=1e-4, rtol=1e-4)
    images = x[:1].clone().requires_grad_()
    model.decode(model.encode(images).mean).mean.sum().backward()
    assert images.grad is not None


def test_an_empty_batch_of_a_vq_vae_has_no_kl() -> None:
    model = zoo.load("vq_vae_fashion_mnist")
    assert model.encode(torch.zeros(0, 1, 28, 28)).kl_per_dimension(model.prior).shape == (0, 49)


def test_tasks_take_images_as_they_are(model: Autoencoder, glyphs: Tensor) -> None:
    images: Any = glyphs[:3]
    (scored,) = score(model, images)
    (again,) = score(model, images.float() / 255)
    assert torch.equal(scored.scores["mse"], again.scores["mse"])
    assert encode(model, images).codes.shape == (3, model.prior.latent_dim)
    name: Any = "glyphs:1"
    assert encode(model, name).labels is not None
    others: list[Any] = [glyphs[:3, :, :20], glyphs[0], torch.full((2, 1, 28, 28), 7.0)]
    for value in others:
        with pytest.raises(ZooError, match=r"images must be \(B, 1, 28, 28\) in \[0, 1\]; got"):
            next(score(model, value))


@pytest.mark.parametrize("value", [None, 0, b"", [], "", 1.5, b"conv_vae_mnist", {}])
def test_what_is_no_name_is_refused_in_one_line(model: Autoencoder, value: Any) -> None:
    with pytest.raises(ZooError, match=r"^name an entry, a run folder or hf-hub:owner/name[^\n]*; got [^\n]*$"):
        zoo.load(value)
    with pytest.raises(ZooError, match=r"^images are a folder, such as './images', or a dataset[^\n]*; got [^\n]*$"):
        open_images(value, model)
    if not isinstance(value, bytes):
        with pytest.raises(ZooError, match=r"^unpack takes the bytes of a file of codes; got [^\n]*$"):
            unpack(value)


def test_a_model_is_no_name_either(model: Autoencoder) -> None:
    sklearn = pytest.importorskip("zoo.tasks.sklearn")
    with pytest.raises(ZooError, match=r"name an entry, .*; got Autoencoder"):
        sklearn.Encoder(model).fit(np.zeros((4, 784)))


def test_labels_that_cannot_be_written_to_are_taken_without_a_word(conditional: Autoencoder, x: Tensor) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        conditional.reconstruct(x, np.broadcast_to(np.array(3), 4))  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [None, "conv_vae_mnist", 5, torch.nn.Linear(2, 2)])
def test_what_is_no_model_is_refused_in_one_line(x: Tensor, value: Any, tmp_path: Path) -> None:
    calls: list[Callable[[], object]] = [
        lambda: next(score(value, x)), lambda: encode(value, x), lambda: compress(value, x), lambda: depths(value),
        lambda: impute(value, x, x > 0), lambda: export(value, tmp_path / "out"), lambda: open_images("glyphs", value),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(ZooError, match=r"^give a model, as zoo.load\('conv_vae_mnist'\) returns it; got [^\n]*$"):
            call()


@pytest.mark.parametrize("value", [-1, 1.5, "2", True, [3]])
def test_what_is_no_whole_number_is_refused_in_one_line(model: Autoencoder, glyphs: Tensor, value: Any) -> None:
    images: Any = glyphs[:2]
    calls: list[Callable[[], object]] = [
        lambda: next(score(model, images, value)), lambda: next(score(model, images, 1, seed=value)),
        lambda: encode(model, images, value), lambda: impute(model, images / 255, images > 9, value),
        lambda: model.encode(images / 255).rsample(value), lambda: model.encode(images / 255).draw(2, value),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(ZooError, match=r" must be a whole number from 0 [^\n]*; got [^\n]*$"):
            call()


def test_other_arguments_of_tasks_are_refused_in_one_line(model: Autoencoder, glyphs: Tensor, tmp_path: Path) -> None:
    images: Any = glyphs[:2]
    value: Any = "x"
    x, known = images / 255, images > 9
    calls: list[tuple[str, Callable[[], object]]] = [
        ("there are no images", lambda: encode(model, images[:0])),
        ("a step of 'x'", lambda: compress(model, images, value)),
        ("unknown format 'x'; known: onnx, torch", lambda: export(model, tmp_path / "a", value)),
        ("observed must be True where", lambda: impute(model, x, x * float("nan"))),
        ("observed must be True where", lambda: impute(model, x, value)),
        ("images must be a tensor", lambda: impute(model, value, known)),
        ("give a file that zoo.tasks.read", lambda: next(decompress(value, model))),
        ("a path is text or a pathlib.Path; got list", lambda: read([value])),  # type: ignore[arg-type]
        ("a path is text or a pathlib.Path; got None", lambda: export(model, None)),  # type: ignore[arg-type]
        ("a path is text or a pathlib.Path; got bytes", lambda: export(model, b"x")),  # type: ignore[arg-type]
    ]
    for says, call in calls:
        with pytest.raises(ZooError, match=rf"^{says}[^\n]*$"):
            call()
    assert torch.equal(impute(model, x, known.numpy()), impute(model, x, known))


@pytest.mark.parametrize("value", [None, 0, [], Path("ae_mnist"), {}])
def test_what_is_no_entry_is_refused_in_one_line(value: Any) -> None:
    for call in (zoo.recipe, VARIANTS.get, lambda name: zoo.list_models(variant=name or 0)):
        with pytest.raises(ZooError, match=r"^unknown [a-z]+: got [^\n]*; a name is text, such as '[^\n]*$"):
            call(value)
    with pytest.raises(ZooError, match=r"^a pattern is text, such as 'conv\*'; got [^\n]*$"):
        zoo.list_models(value)
    with pytest.raises(ZooError, match=r"^give a recipe, as zoo.recipe [^\n]*; got [^\n]*$"):
        zoo.build(value)


@every_variant
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_model_in_half_precision_does_what_autocast_does(variant: str, dtype: torch.dtype) -> None:
    full, half = model_of(variant), model_of(variant).to(dtype)
    labels = labels_of(full, 4)
    digits = full.sample(4, torch.Generator().manual_seed(3), labels)
    expected = full.reconstruct(digits, labels)
    for images in (digits, digits.to(dtype)):
        found = half.reconstruct(images, labels)
        assert 0 <= found.min() <= found.max() <= 1
        assert float((found.float() - expected).square().mean()) < 2e-3
    posterior = half.encode(digits.to(dtype), labels)
    assert half.decode(posterior.rsample(), labels).log_prob(digits).isfinite().all()
    if posterior.stochastic:
        assert posterior.kl_per_dimension(half.prior).isfinite().all()
    drawn, exact = (model.sample(4, torch.Generator().manual_seed(5), labels) for model in (half, full))
    assert drawn.dtype == torch.float32
    assert float((drawn - exact).square().mean()) < 5e-3
    assert half.prior.log_prob(half.prior.sample(3)).shape == (3,)
