"""What people use an autoencoder for, as functions: anomaly scores, imputation, compression, features, export.

Each goes through images in a stream (:mod:`zoo.inference.image_stream`) and has a verb of the command line.
"""

from zoo.inference.image_stream import open_images
from zoo.tasks.anomaly import HighestScores, RankedImages, Scored, detection, score
from zoo.tasks.code_file import read, unpack
from zoo.tasks.compression import compress, decompress
from zoo.tasks.exporting import export
from zoo.tasks.features import Codes, encode, write_codes
from zoo.tasks.imputation import boxed, dropped, impute

__all__ = [
    "Codes", "HighestScores", "RankedImages", "Scored", "boxed", "compress", "decompress", "detection", "dropped",
    "encode", "export", "impute", "open_images", "read", "score", "unpack", "write_codes",
]  # fmt: skip
