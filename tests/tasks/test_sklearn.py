"""The encoder as a scikit-learn transformer."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

import zoo
from zoo.datasets import load_images
from zoo.errors import NotApplicable, ZooError
from zoo.models.autoencoder import Autoencoder
from zoo.models.build import build_variant
from zoo.tasks import depths
from zoo.tasks.sklearn import Encoder


@pytest.fixture(scope="module")
def glyphs() -> tuple[np.ndarray, np.ndarray]:
    images = load_images(zoo.recipe("beta_vae_1_glyphs").data, "test").first(600)
    assert images.labels is not None
    return images.images.flatten(1).numpy() / np.float32(255), images.labels.numpy()


def test_codes_are_the_posterior_means_and_decode_again(glyphs: Any) -> None:
    X, _ = glyphs
    encoder = Encoder("beta_vae_1_glyphs", batch_size=70).fit(X)
    model = zoo.load("beta_vae_1_glyphs")
    x = torch.from_numpy(X).reshape(-1, 1, 28, 28)
    with torch.no_grad():
        assert np.allclose(encoder.transform(X), model.encode(x).mean.numpy(), atol=1e-5)
    assert np.allclose(encoder.inverse_transform(encoder.transform(X)), model.reconstruct(x).flatten(1), atol=1e-5)
    assert list(encoder.get_feature_names_out()) == [f"encoder{n}" for n in range(10)]


def test_features_of_a_depth_are_those_of_the_encoders_layer(glyphs: Any) -> None:
    X, _ = glyphs
    encoder = Encoder("beta_vae_1_glyphs", batch_size=70, depth=1).fit(X)
    (layer, *_) = depths(encoder.model_)
    convolution, activation = encoder.model_.encoder[:2]
    assert layer is activation
    with torch.no_grad():
        maps = activation(convolution(torch.from_numpy(X).reshape(-1, 1, 28, 28)))
    assert np.allclose(encoder.transform(X), maps.mean(dim=(2, 3)).numpy(), atol=1e-5)
    assert len(encoder.get_feature_names_out()) == maps.shape[1]
    with pytest.raises(NotApplicable, match="features of depth 1 cannot be decoded; codes can: leave depth out"):
        encoder.inverse_transform(encoder.transform(X))
    with pytest.raises(ZooError, match="there are no features of depth 9; the encoder has 1 ReLU"):
        Encoder("beta_vae_1_glyphs", depth=9).fit(X)
    with pytest.raises(ZooError, match="depth must be a whole number from 0 on; got 1.5"):
        Encoder("beta_vae_1_glyphs", depth=1.5).fit(X)  # type: ignore[arg-type]


def test_in_a_pipeline_with_a_grid_of_models(glyphs: Any) -> None:
    X, y = glyphs
    pipeline = make_pipeline(Encoder("beta_vae_1_glyphs"), LogisticRegression(max_iter=300))
    assert clone(pipeline).fit(X[:400], y[:400]).score(X[400:], y[400:]) > 3 / len(set(y))
    pipeline.set_params(encoder__model="beta_vae_4_glyphs")
    assert pipeline.fit(X[:400], y[:400])[0].model_.config.name == "beta_vae_4_glyphs"


def test_what_it_cannot_take(glyphs: Any) -> None:
    X, _ = glyphs
    with pytest.raises(ValueError, match="X has 10 features, but ae_mnist is expecting 784 features"):
        Encoder("ae_mnist").fit(X[:, :10])
    with pytest.raises(ValueError, match="is conditional"):
        Encoder("conditional_vae_mnist").fit(X)
    with pytest.raises(ValueError, match="X has 700 features, but Encoder is expecting 784"):
        Encoder("ae_mnist").fit(X).transform(X[:, :700])


def test_images_that_are_not_between_0_and_1(glyphs: Any) -> None:
    X, _ = glyphs
    with pytest.raises(ValueError, match=r"X has values from 0 to 255; images are in \[0, 1\] \(divide by 255\?\)"):
        Encoder("ae_mnist").fit(X * 255)
    with pytest.raises(ValueError, match="X has values from"):
        Encoder("ae_mnist").fit(X).transform(X * 255)


def test_a_rows_code_is_its_own_where_pixels_are_drawn(glyphs: Any) -> None:
    X, _ = glyphs
    encoder = Encoder("iwae_50_short_mnist").fit(X)
    assert np.allclose(encoder.transform(X[:9])[5:6], encoder.transform(X[5:6]), atol=1e-5)


def test_a_fitted_pipeline_can_be_kept(glyphs: Any) -> None:
    X, y = glyphs
    pipeline = make_pipeline(Encoder("beta_vae_1_glyphs"), LogisticRegression(max_iter=300)).fit(X, y)
    kept = pickle.loads(pickle.dumps(pipeline))
    assert np.array_equal(kept.predict(X), pipeline.predict(X))


class OfAnything(Encoder):  # type: ignore[misc]
    """The same encoder for rows of any length and range, as scikit-learn's checks have them: a small network is built
    where the entry's would be loaded."""

    def _load(self, features: int) -> Autoencoder:
        torch.manual_seed(0)
        shipped = zoo.load(self.model)
        assert shipped.config is not None
        section = shipped.config.model_section().model_copy(update={"hidden": (8,), "latent_dim": 2})
        model = build_variant(section, (1, 1, features))
        model.config = shipped.config
        return model

    def _check_range(self, images: Any) -> None:
        pass


def test_scikit_learns_own_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.models.autoencoder.checked_images", lambda images, *_, **__: images)  # of any range
    outcomes = check_estimator(OfAnything("linear_vae_mnist"), on_fail=None, on_skip=None)
    assert [one for one in outcomes if one["status"] == "failed"] == []
    assert sum(one["status"] == "passed" for one in outcomes) > 40
