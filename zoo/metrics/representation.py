"""The accuracy of simple classifiers on codes, which says how much a code is worth as a feature."""

from __future__ import annotations

from typing import Any

from zoo.errors import NotApplicable
from zoo.inference.loops import codes
from zoo.metrics import REFERENCE_IMAGES, EvalContext, Metric, register_metrics
from zoo.system.lock import warnings_ignored

NEIGHBOURS = 5
FITTING_NOTE = f"fitted to the posterior means of {REFERENCE_IMAGES:,} training images"


@register_metrics(
    "representation",
    Metric(
        "knn_accuracy", "k-NN", "share",
        f"Share of images whose class is that of most of the {NEIGHBOURS} nearest codes; {FITTING_NOTE}.",
        "Cover & Hart 1967; scikit-learn", digits=4, better="higher", tolerance=0.003, topic="Codes",
    ),
    Metric(
        "probe_accuracy", "linear probe", "share",
        f"Share of images that a logistic regression on standardised codes classifies correctly; {FITTING_NOTE}.",
        "Alain & Bengio 2016, arXiv:1610.01644; scikit-learn", digits=4, better="higher", tolerance=0.003,
        topic="Codes",
    ),
)  # fmt: skip
def representation(context: EvalContext) -> dict[str, float]:
    """Measure both classifiers, which need labels and the training images."""
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise NotApplicable("it needs scikit-learn: pip install 'autoencoder-zoo[evaluation]'") from error
    if context.model.classes:
        raise NotApplicable("its encoder is given the class, so its codes need not hold it")
    if context.images.labels is None:
        raise NotApplicable("the images have no classes")
    training = context.training
    if training.labels is None or len(training) < NEIGHBOURS or len(training.labels.unique()) < 2:
        raise NotApplicable(f"it needs {NEIGHBOURS} training images of two classes")
    if not context.codes.isfinite().all():
        raise NotApplicable("its codes are not finite")
    fit = codes(context.model, training, context.data, seed=context.seed).cpu().numpy(), training.labels.numpy()
    test = context.codes.cpu().numpy(), context.images.labels.numpy()

    def accuracy(classifier: Any) -> float:
        with warnings_ignored():  # the warning that 200 iterations did not converge
            return float(classifier.fit(*fit).score(*test))

    return {
        "knn_accuracy": accuracy(KNeighborsClassifier(NEIGHBOURS, algorithm="brute")),
        "probe_accuracy": accuracy(make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))),
    }
