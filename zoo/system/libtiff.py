"""The library with which Pillow reads compressed TIFF files, without the lines that it writes to stderr itself."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from functools import cache


@cache
def silence() -> None:
    """Take away, once for the whole process, the functions that write errors and warnings from any thread.

    Pillow raises an error where one of a file matters, so that nothing gets lost. It has no setting for this; where
    its library is not to be found (on Windows it is a part of Pillow), everything stays as it is.
    """
    with suppress(ImportError, OSError, AttributeError, TypeError):
        from PIL import _imaging

        library = ctypes.CDLL(_imaging.__file__)
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            set_handler = getattr(library, name)
            set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            set_handler(None)
