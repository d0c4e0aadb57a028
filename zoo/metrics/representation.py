"""How well simple classifiers tell the classes from codes: what a code is worth as a feature."""

from __future__ import annotations

import warnings
from typing import Any

from zoo.errors import Lacking
from zoo.metric import REFERENCE, Case, Metric, register_metrics
from zoo.passes import codes

NEIGHBOURS = 5
FITTED = f"fitted to the posterior means of {REFERENCE:,} training images"


@register_metrics(
    "representation",
    Metric(
        "knn_accuracy", "k-NN", "share",
        f"Share of images whose class is that of most of the {NEIGHBOURS} nearest codes; {FITTED}.",
        "Cover & Hart 1967; scikit-learn", digits=4, better="higher", tolerance=0.003,
    ),
    Metric(
        "probe_accuracy", "linear probe", "share",
        f"Share of images that a logistic regression on standardised codes classifies rightly; {FITTED}.",
        "Alain & Bengio 2016, arXiv:1610.01644; scikit-learn", digits=4, better="higher", tolerance=0.003,
    ),
)  # fmt: skip
def measure(case: Case) -> dict[str, float]:
    """Needs labels, and the training images."""
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise Lacking("it needs scikit-learn: pip install 'autoencoder-zoo[evaluation]'") from error
    if case.model.classes:
        raise Lacking("its codes are given the class, and need not tell it")
    if case.images.labels is None:
        raise Lacking("the images have no classes")
    training = case.training
    if training.labels is None or len(training) < NEIGHBOURS or len(training.labels.unique()) < 2:
        raise Lacking(f"it needs {NEIGHBOURS} training images of two classes")
    if not case.codes.isfinite().all():
        raise Lacking("its codes are not finite")
    fit = codes(case.model, training, case.data).cpu().numpy(), training.labels.numpy()
    test = case.codes.cpu().numpy(), case.images.labels.numpy()

    def accuracy(classifier: Any) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that 200 iterations are not the very end
            return float(classifier.fit(*fit).score(*test))

    return {
        "knn_accuracy": accuracy(KNeighborsClassifier(NEIGHBOURS, algorithm="brute")),
        "probe_accuracy": accuracy(make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))),
    }
