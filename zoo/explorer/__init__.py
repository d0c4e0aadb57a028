"""The explorer: a page in the browser, or a widget in a notebook, that shows trained models while one moves a code.

A view is one file of :mod:`zoo.explorer.views`, which answers questions about open models, and one module of the same
name in ``static/views``, which shows the answers. A :class:`Session` takes the questions, and knows nothing of HTTP.
"""

from zoo.explorer.session import OpenModel, Session

__all__ = ["OpenModel", "Session"]
