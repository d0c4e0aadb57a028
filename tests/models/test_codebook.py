"""Vector quantisation: which vector is nearest, how the codebook follows, where gradients go, the KL in nats."""

from __future__ import annotations

import math

import pytest
import torch

import zoo
from tests.helpers import SHIPPED_VARIANTS, tiny_model, tiny_recipe, tiny_recipe_of, trainer
from zoo.errors import ZooError
from zoo.metrics import measure
from zoo.models.build import build
from zoo.models.codebook import Codebook, Quantized


def codebook(size: int = 6, dim: int = 3, grid: tuple[int, int] = (2, 2)) -> Codebook:
    torch.manual_seed(0)
    made = Codebook(size, dim, grid, decay=0.9, restart_below=0)
    made.vectors.normal_()
    made.sums.copy_(made.vectors)
    made.counts.fill_(1)
    return made


def test_a_code_is_the_vector_of_channels_at_a_place() -> None:
    book = codebook().eval()
    chosen = torch.tensor([[[0, 3], [5, 1]], [[2, 2], [4, 0]]])
    features = torch.stack([torch.stack([book.vectors[row].T for row in grid], dim=1) for grid in chosen])
    found = book.quantize(features + 1e-4)
    assert torch.equal(found.indices, chosen)
    assert torch.equal(found.vectors[1, :, 1, 0], book.vectors[4])
    assert torch.equal(book.decode_indices(chosen), found.vectors.flatten(1))
    torch.testing.assert_close(found.mean, found.vectors.flatten(1))


@pytest.mark.known_answer("variant/vq_vae", says="The nearest vector is that of all distances.")
def test_the_nearest_vector_is_found() -> None:
    book = codebook(size=50, dim=5).eval()
    features = torch.randn(4, 5, 2, 2)
    flat = features.permute(0, 2, 3, 1).reshape(-1, 5)
    assert torch.equal(book.quantize(features).indices.flatten(), torch.cdist(flat, book.vectors).argmin(dim=1))


@pytest.mark.known_answer(
    "variant/vq_vae",
    "objective/vq",
    says="The gradient of the features is the decoder's, and none reaches the codebook.",
)
def test_gradients_pass_straight_through_and_none_reaches_the_codebook() -> None:
    book = codebook()
    features = torch.randn(4, 3, 2, 2, requires_grad=True)
    weight = torch.randn(4, 12)
    (book.quantize(features).mean * weight).sum().backward()
    assert features.grad is not None
    assert torch.equal(features.grad.flatten(1), weight)
    assert not book.vectors.requires_grad


@pytest.mark.known_answer("objective/vq", says="The commitment has the gradient 2 (z - e).")
def test_the_commitment_pulls_the_features_towards_their_vectors() -> None:
    features = torch.randn(4, 3, 2, 2, requires_grad=True)
    found = codebook().eval().quantize(features)
    commitment = found.commitment()
    assert commitment.shape == (4,)
    torch.testing.assert_close(commitment[2], (features[2] - found.vectors[2]).square().sum())
    commitment.sum().backward()
    torch.testing.assert_close(features.grad, 2 * (features - found.vectors).detach())


def test_the_codebook_follows_by_moving_averages_in_training_only() -> None:
    book = codebook()
    before = {name: value.clone() for name, value in book.state_dict().items()}
    features = torch.randn(8, 3, 2, 2)
    book.eval().quantize(features)
    assert all(torch.equal(before[name], value) for name, value in book.state_dict().items())
    found = book.train().quantize(features)
    flat, nearest = features.permute(0, 2, 3, 1).reshape(-1, 3), found.indices.flatten()
    for index in range(6):
        members = flat[nearest == index]
        count = 0.9 * before["counts"][index] + 0.1 * len(members)
        total = 0.9 * before["sums"][index] + 0.1 * members.sum(dim=0)
        torch.testing.assert_close(book.counts[index], count)
        torch.testing.assert_close(book.vectors[index], total / count, atol=1e-3, rtol=1e-3)


def test_a_vector_that_nothing_is_near_stays_where_it_is() -> None:
    book = codebook()
    book.vectors[5] = book.sums[5] = 100.0
    for _ in range(30):
        book.quantize(torch.randn(8, 3, 2, 2))
    torch.testing.assert_close(book.vectors[5], torch.full((3,), 100.0), rtol=1e-2, atol=0)


@pytest.mark.known_answer(
    "variant/vq_vae", says="The codebook settles on the means of the features, and no vector is left unused."
)
def test_the_codebook_settles_on_the_means_of_the_features_and_leaves_no_vector_unused() -> None:
    torch.manual_seed(0)
    centres = torch.tensor([[4.0, 0.0], [-4.0, 0.0], [0.0, 4.0], [0.0, -4.0]])
    book = Codebook(4, 2, (1, 1), decay=0.9, restart_below=0.1)
    book.vectors[3] = 1e6
    for _ in range(200):
        features = centres.repeat(8, 1) + 0.05 * torch.randn(32, 2)
        book.quantize(features[:, :, None, None])
    assert torch.cdist(centres, book.vectors).min(dim=1).values.max() < 0.1


@pytest.mark.known_answer("variant/vq_vae", says="The KL is h w log K.")
def test_the_kl_is_that_to_a_uniform_prior() -> None:
    book = codebook()
    found = book.quantize(torch.randn(5, 3, 2, 2))
    torch.testing.assert_close(found.kl_per_dimension(book), torch.full((5, 4), math.log(6)))
    z = found.mean.clone()
    assert found.log_prob(found.vectors.flatten(1)).tolist() == [0] * 5
    z[1, 0] += 1
    assert found.log_prob(z).tolist() == [0, -math.inf, 0, 0, 0]


def test_perplexity_counts_the_vectors_in_use() -> None:
    evenly = torch.arange(8).repeat(10)[:, None, None]
    assert Quantized.usage(evenly)["perplexity"] == pytest.approx(8)
    assert Quantized.usage(torch.zeros(9, 1, 1, dtype=torch.int64))["perplexity"] == pytest.approx(1)
    skewed = torch.tensor([0, 0, 0, 1])[:, None, None]
    assert Quantized.usage(skewed)["perplexity"] == pytest.approx(math.exp(0.75 * math.log(4 / 3) + 0.25 * math.log(4)))


def test_samples_of_the_prior_use_every_vector_alike() -> None:
    book = codebook()
    z = book.sample(600, torch.Generator().manual_seed(0))
    places = z.reshape(600, 3, 4).permute(0, 2, 1).reshape(-1, 3)
    counts = torch.cdist(places, book.vectors).argmin(dim=1).bincount(minlength=6)
    assert 350 < counts.min() and counts.max() < 450


def test_it_learns_and_its_metrics_say_how_many_vectors_are_used() -> None:
    limits = {"train_images": 100, "test_images": 20}
    recipe = tiny_recipe_of("vq_vae", data={"name": "tiny", **limits}, training={"epochs": 80, "batch_size": 25})
    found = trainer(recipe)
    while not found.done:
        found.run_epoch()
    first, last = found.history[0]["test"], found.history[-1]["test"]
    assert last["reconstruction"] < 0.5 * first["reconstruction"]
    assert last["loss"] == pytest.approx(last["reconstruction"] + 0.25 * last["commitment"], rel=1e-5)
    metrics = measure(found.model, found.test_set, found.recipe.data)
    size = tiny_model("vq_vae")["codebook_size"]
    assert 2 < metrics["perplexity"] < size
    assert metrics["kl"] == pytest.approx(49 * math.log(size), rel=1e-6)


def test_the_objective_needs_a_codebook() -> None:
    with pytest.raises(ZooError, match="needs a variant with a codebook"):
        trainer(tiny_recipe(objective={"name": "vq"})).run_epoch()


@pytest.mark.parametrize("variant", SHIPPED_VARIANTS)
def test_a_prior_of_discrete_codes_turns_the_indices_of_its_posterior_into_codes(variant: str) -> None:
    model = build(tiny_recipe_of(variant)).eval()
    posterior = model.given(torch.tensor([0, 1])).encode(torch.rand(2, 1, 28, 28))
    assert hasattr(posterior, "indices") == bool(model.prior.num_codes)
    if model.prior.num_codes:
        assert posterior.indices.shape == (2, *model.prior.index_shape)
        assert 0 <= posterior.indices.min() <= posterior.indices.max() < model.prior.num_codes
        torch.testing.assert_close(model.prior.decode_indices(posterior.indices), posterior.mean)
    else:
        assert model.prior.index_shape == ()


def test_the_recipe_on_cifar10_trains_on_a_stand_in_of_its_shape() -> None:
    published = zoo.recipe("vq_vae_cifar10")
    assert published.data.image_shape == (3, 32, 32)
    data = {"name": "tiny", "channels": 3, "side": 32, "train_images": 8, "test_images": 4}
    stand_in = published.to_dict() | {"name": "stand_in", "data": data}
    stand_in["training"] = {"epochs": 1, "batch_size": 4}
    found = trainer(tiny_recipe(**stand_in))
    with torch.device("meta"):
        assert found.model.parameter_count == build(published).parameter_count == 10_536_979
    row = found.run_epoch()
    assert row and math.isfinite(row["test"]["loss"])
    assert found.model.sample(2).shape == (2, 3, 32, 32)
