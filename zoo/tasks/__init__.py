"""The uses of an autoencoder, as functions: anomaly scores, imputation, compression, features, export.

Each has a verb of the command line; those over many images read them as a stream (:mod:`zoo.inference.image_stream`).
"""

from zoo.inference.image_stream import open_images
from zoo.tasks.anomaly import HighestScores, RankedImages, Scored, detection, score
from zoo.tasks.code_file import read, unpack
from zoo.tasks.compression import compress, decompress
from zoo.tasks.depths import at_depth, depths
from zoo.tasks.exporting import export
from zoo.tasks.features import Codes, encode, write_codes
from zoo.tasks.imputation import boxed, dropped, impute

__all__ = [
    "Codes", "HighestScores", "RankedImages", "Scored", "at_depth", "boxed", "compress", "decompress", "depths",
    "detection", "dropped", "encode", "export", "impute", "open_images", "read", "score", "unpack", "write_codes",
]  # fmt: skip
