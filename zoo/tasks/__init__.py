"""What people use an autoencoder for, as functions: anomaly scores, imputation, compression, features, export.

Each goes through pictures in a stream (:mod:`zoo.pictures`) and has a command of its own.
"""

from zoo.pictures import open_pictures
from zoo.tasks.anomaly import Strangest, detection, score
from zoo.tasks.code_file import read, unpack
from zoo.tasks.compression import compress, decompress
from zoo.tasks.encoding import encode, write_codes
from zoo.tasks.exporting import export
from zoo.tasks.imputation import boxed, dropped, impute

__all__ = [
    "Strangest", "boxed", "compress", "decompress", "detection", "dropped", "encode", "export", "impute",
    "open_pictures", "read", "score", "unpack", "write_codes",
]  # fmt: skip
