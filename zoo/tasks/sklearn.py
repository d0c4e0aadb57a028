"""A trained model as a scikit-learn transformer: ``make_pipeline(Encoder("conv_vae_mnist"), LogisticRegression())``."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from zoo.entries.loading import load
from zoo.errors import NotApplicable
from zoo.inference.file_stream import trained_on
from zoo.inference.loops import SEED, eval_mode
from zoo.inference.noise import Noise
from zoo.models.autoencoder import Autoencoder
from zoo.models.inputs import whole_number
from zoo.tasks.depths import at_depth

try:
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise NotApplicable("zoo.tasks.sklearn needs scikit-learn: pip install 'autoencoder-zoo[evaluation]'") from error


class Encoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A transformer of images into a trained model's posterior means, or features of a layer; ``fit`` trains nothing.

    Args:
        model: an entry or a run folder, as :func:`zoo.load` takes it. Conditional models need labels to encode, and are
            refused.
        device: the device to compute on.
        batch_size: the number of images in a batch.
        depth: the features after so many layers of the encoder, as :func:`zoo.tasks.depths` counts them, with maps
            averaged over their positions; None: the posterior means.

    Attributes:
        model_: the loaded model.
        n_features_in_: the number C*H*W of values in one of its images.
    """

    def __init__(
        self, model: str = "conv_vae_mnist", device: str = "cpu", batch_size: int = 500, depth: int | None = None
    ) -> None:
        self.model = model
        self.device = device
        self.batch_size = batch_size
        self.depth = depth

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Load the model, and check that images X (N, C*H*W) in [0, 1] have its shape.

        Raises:
            ValueError: they have another shape or values outside [0, 1], or the model is conditional.
            ZooError: the encoder has no such depth.
        """
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}; expected a number above 0")
        if self.depth is not None:
            whole_number(self.depth, "depth")
        images = validate_data(self, X, dtype=np.float32)
        self.model_ = self._load(images.shape[1])
        if self.model_.classes:
            raise ValueError(f"{self.model} is conditional: it cannot encode images without their labels")
        self._check_range(images)
        with eval_mode(self.model_):
            self._n_features_out = self._features(torch.zeros(1, *self.model_.image_shape)).shape[1]
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return the codes (N, D) of images (N, C*H*W) in [0, 1], or their features (N, F) of the depth."""
        check_is_fitted(self)
        images = validate_data(self, X, dtype=np.float32, reset=False)
        self._check_range(images)
        x = torch.from_numpy(np.ascontiguousarray(images)).reshape(len(images), *self.model_.image_shape)
        if trained_on(self.model_).binarization != "none":
            x = Noise((x * 255).round().to(torch.uint8), SEED).binarized(x)
        with eval_mode(self.model_):
            codes = [self._features(part).float().cpu() for part in x.split(self.batch_size)]
        features: NDArray[np.float32] = torch.cat(codes).numpy()
        return features

    def inverse_transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return the images (N, C*H*W) in [0, 1] of codes (N, D).

        Raises:
            NotApplicable: the features are not codes but those of a depth.
        """
        check_is_fitted(self)
        if self.depth is not None:
            raise NotApplicable(f"features of depth {self.depth} cannot be decoded; codes can: leave depth out")
        z = torch.as_tensor(np.asarray(X, dtype=np.float32))
        if z.dim() != 2 or z.shape[1] != self._n_features_out:
            raise ValueError(f"X is {tuple(z.shape)}; expected codes (N, {self._n_features_out})")
        with eval_mode(self.model_):
            images = [self.model_.decode(part).mean.flatten(1).cpu() for part in z.split(self.batch_size)]
        flattened: NDArray[np.float32] = torch.cat(images).numpy()
        return flattened

    def _features(self, x: Tensor) -> Tensor:
        if self.depth is None:
            return self.model_.encode(x).mean
        return at_depth(self.model_, self.depth, lambda: self.model_.encode(x))

    def _load(self, features: int) -> Autoencoder:
        model = load(self.model, self.device)
        expected = int(np.prod(model.image_shape))
        if features != expected:
            raise ValueError(
                f"X has {features} features, but {self.model} is expecting {expected} features: images of "
                f"{model.image_shape} (channels, height, width), flattened"
            )
        return model

    def _check_range(self, images: NDArray[np.float32]) -> None:
        if images.min() < 0 or images.max() > 1:
            raise ValueError(
                f"X has values from {images.min():g} to {images.max():g}; images are in [0, 1] (divide by 255?)"
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
