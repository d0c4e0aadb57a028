"""Random changes of images on the device, one file each: its settings, and the function that changes a batch.

They are torchvision's transforms (``torchvision.transforms.v2``) of a whole batch, in which every image is changed in
its own way. The random numbers are those of the run: seeded, resumable, drawn in compiled and captured steps as well.
"""

from zoo.augmentations._base import Augmentations, between
from zoo.system.randomness import bernoulli, integers_below, normal_like, uniform_like

__all__ = ["Augmentations", "bernoulli", "between", "integers_below", "normal_like", "uniform_like"]
