"""Disentanglement: each dimension of a code stands for one factor of the images, as far as the factors are known.

Four scores from the papers that proposed them, all between 0 and 1, on posterior means. Factors with fractional values
count as continuous; where a score needs classes of them, they are cut into 20 bins of equal width (Locatello et al.
2019, arXiv:1811.12359, appendix C).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.errors import NotApplicable
from zoo.metrics import EvalContext, Metric, register_metrics
from zoo.models.posteriors import ACTIVE_VARIANCE

Array = NDArray[Any]
Factors = dict[str, Array]

BINS = 20
TREES, DEPTH = 10, 12
VOTES, GROUP_SIZE = 4000, 64
MIN_IMAGES = 100

HALVES_NOTE = "Fitted to one half of the images, measured on the other."


@register_metrics(
    "disentanglement",
    Metric(
        "mig", "MIG", "",
        "Mutual information gap: the difference between the two highest mutual informations of a dimension and a "
        "factor, as a share of the factor's entropy; mean over factors.",
        "Chen, Li, Grosse & Duvenaud 2018, arXiv:1802.04942", digits=3, better="higher", tolerance=0.02,
        topic="Disentanglement",
    ),
    Metric(
        "dci_disentanglement", "DCI disentanglement", "",
        "1 - entropy of the factors that a dimension matters for, weighted by how much it matters, in random "
        f"forests. {HALVES_NOTE}",
        "Eastwood & Williams 2018, ICLR", digits=3, better="higher", tolerance=0.03, topic="Disentanglement",
    ),
    Metric(
        "dci_completeness", "DCI completeness", "",
        f"1 - entropy of the dimensions that matter for a factor, mean over factors, in the same forests. "
        f"{HALVES_NOTE}",
        "Eastwood & Williams 2018, ICLR", digits=3, better="higher", tolerance=0.03, topic="Disentanglement",
    ),
    Metric(
        "dci_informativeness", "DCI informativeness", "",
        "How well the same forests predict the factors: accuracy, or R^2 (at least 0) of continuous ones; mean over "
        f"factors. {HALVES_NOTE}",
        "Eastwood & Williams 2018, ICLR", digits=3, better="higher", tolerance=0.03, topic="Disentanglement",
    ),
    Metric(
        "sap", "SAP", "",
        "Separated attribute predictability: the difference between the scores of the two dimensions that alone "
        "predict a factor best (R^2 of a line; for classes, balanced accuracy of thresholds fitted to one half of the "
        "images and measured on the other), mean over factors.",
        "Kumar, Sattigeri & Balakrishnan 2018, arXiv:1711.00848", digits=3, better="higher", tolerance=0.02,
        topic="Disentanglement",
    ),
    Metric(
        "factor_vae_score", "FactorVAE score", "",
        "How often the dimension that varies least among images that share one factor tells which factor it is, by "
        f"majority vote over {VOTES:,} groups of {GROUP_SIZE}. {HALVES_NOTE}",
        "Kim & Mnih 2018, arXiv:1802.05983", digits=3, better="higher", tolerance=0.03, topic="Disentanglement",
    ),
)  # fmt: skip
def disentanglement(context: EvalContext) -> dict[str, float]:
    """Measure all scores on posterior means; the images need known factors, as glyphs have them."""
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise NotApplicable("it needs scikit-learn: pip install 'autoencoder-zoo[evaluation]'") from error
    if not context.images.factors:
        raise NotApplicable("the factors of the images are not known")
    order = context.order(len(context.images))  # the images may be sorted by a factor
    codes = context.codes.cpu().double()[order].numpy()
    factors = {name: values[order].numpy() for name, values in context.images.factors.items()}
    factors = {name: values for name, values in factors.items() if len(np.unique(values)) > 1}
    if len(codes) < MIN_IMAGES or codes.shape[1] < 2 or len(factors) < 2:
        raise NotApplicable(f"it needs {MIN_IMAGES} images, two factors that vary and a code of two dimensions")
    if not np.isfinite(codes).all() or not codes.var(axis=0).max():
        raise NotApplicable("its codes are not finite, or all the same")
    disentanglement, completeness, informativeness = dci(codes, factors, context.seed)
    return {
        "mig": mutual_information_gap(codes, factors),
        "dci_disentanglement": disentanglement,
        "dci_completeness": completeness,
        "dci_informativeness": informativeness,
        "sap": separated_attribute_predictability(codes, factors, context.seed),
        "factor_vae_score": factor_vae_score(codes, factors, context.seed),
    }


def mutual_information_gap(codes: Array, factors: Factors) -> float:
    """Return the gap, mean over the factors (N,), of codes (N, D): from 0 to 1."""
    from sklearn.metrics import mutual_info_score

    binned = [binned_values(dimension) for dimension in codes.T]
    gaps = []
    for values in map(classes, factors.values()):
        *_, second, best = sorted(mutual_info_score(values, dimension) for dimension in binned)
        gaps.append((best - second) / mutual_info_score(values, values))
    return float(np.mean(gaps))


def dci(codes: Array, factors: Factors, seed: int = 0) -> tuple[float, float, float]:
    """Return disentanglement, completeness and informativeness of codes (N, D) and factors (N,)."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    half = len(codes) // 2
    importances, scores = [], []
    for values in factors.values():
        kind = RandomForestRegressor if continuous(values) else RandomForestClassifier
        forest = kind(n_estimators=TREES, max_depth=DEPTH, max_features=None, random_state=seed)
        forest.fit(codes[:half], values[:half])
        importances.append(forest.feature_importances_)
        scores.append(max(0.0, forest.score(codes[half:], values[half:])))
    matters = np.stack(importances, axis=1)  # (D, F)
    weights = matters.sum(axis=1) / matters.sum()
    disentanglement = (1 - _entropy(matters, axis=1)) @ weights
    completeness = (1 - _entropy(matters, axis=0)).mean()
    return float(disentanglement), float(completeness), float(np.mean(scores))


def separated_attribute_predictability(codes: Array, factors: Factors, seed: int = 0) -> float:
    """Return the gap between the two dimensions that predict a factor best, mean over factors."""
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.tree import DecisionTreeClassifier

    half = len(codes) // 2

    def score(dimension: Array, values: Array) -> float:
        if continuous(values):
            constant = dimension.std() == 0 or values.std() == 0
            return 0.0 if constant else float(np.corrcoef(dimension, values)[0, 1] ** 2)
        # Thresholds on one dimension, as the paper has it, are a tree with a leaf per class.
        tree = DecisionTreeClassifier(
            max_leaf_nodes=max(2, len(np.unique(values))), class_weight="balanced", random_state=seed
        )
        tree.fit(dimension[:half, None], values[:half])
        return float(balanced_accuracy_score(values[half:], tree.predict(dimension[half:, None])))

    gaps = []
    for values in factors.values():
        *_, second, best = sorted(score(dimension, values) for dimension in codes.T)
        gaps.append(best - second)
    return float(np.mean(gaps))


def factor_vae_score(codes: Array, factors: Factors, seed: int = 0) -> float:
    """Return the accuracy of the majority vote, in which dimensions that hardly vary have no vote."""
    random = np.random.RandomState(seed)
    spread = codes.var(axis=0)
    used = codes[:, spread > ACTIVE_VARIANCE * spread.max()]
    spread = used.var(axis=0)
    groups = [
        [np.flatnonzero(values == value) for value in np.unique(values)] for values in map(classes, factors.values())
    ]
    votes = np.zeros((2, used.shape[1], len(factors)), dtype=int)  # half, dimension, factor
    for vote in range(VOTES):
        factor = random.randint(len(factors))
        alike = groups[factor][random.randint(len(groups[factor]))]
        chosen = used[random.choice(alike, GROUP_SIZE)]
        votes[vote % 2, (chosen.var(axis=0) / spread).argmin(), factor] += 1
    learned, tested = votes
    verdict = learned.argmax(axis=1)  # of each dimension
    return float(tested[np.arange(len(verdict)), verdict].sum() / tested.sum())


def continuous(values: Array) -> bool:
    """Return whether a factor has fractional values."""
    return bool(np.issubdtype(values.dtype, np.floating))


def classes(values: Array) -> Array:
    """Return a factor's values (N,) as whole numbers."""
    return binned_values(values) if continuous(values) else values


def binned_values(values: Array) -> Array:
    """Return the bin of each value (N,), 0 to 19, in bins of equal width."""
    edges = np.linspace(values.min(), values.max(), BINS + 1)[1:-1]
    return np.digitize(values, edges)


def _entropy(shares: Array, axis: int) -> Array:
    """Return the entropy along an axis, as a share of the greatest possible."""
    total = np.maximum(shares.sum(axis=axis, keepdims=True), 1e-300)
    p = shares / total
    entropy: Array = -(p * np.log(np.where(p > 0, p, 1))).sum(axis=axis) / np.log(shares.shape[axis])
    return entropy
