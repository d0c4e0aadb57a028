"""Functions from images, codes and numbers to matplotlib figures; they know no model.

Images are float (N, C, H, W) in [0, 1]. What a figure of a model shows is computed in :mod:`zoo.figures`.
"""

from zoo.plotting.canvas import side_by_side, to_png
from zoo.plotting.comparison import ComparisonRow, comparison
from zoo.plotting.curves import loss_curves, seed_curves
from zoo.plotting.grids import labelled_rows, pairs, reconstruction_grid, sample_grid, titled
from zoo.plotting.latent_space import codebook_use, manifold_map, scatter
from zoo.plotting.progress import progress_gif, progress_strip

__all__ = [
    "ComparisonRow",
    "codebook_use",
    "comparison",
    "labelled_rows",
    "loss_curves",
    "manifold_map",
    "pairs",
    "progress_gif",
    "progress_strip",
    "reconstruction_grid",
    "sample_grid",
    "scatter",
    "seed_curves",
    "side_by_side",
    "titled",
    "to_png",
]
