"""The explorer as a widget in a notebook: the page's own program, with its questions in messages to the kernel."""

from __future__ import annotations

from typing import Any

import anywidget
import traitlets

from zoo.errors import ZooError, first_line
from zoo.explorer.bundle import bundle
from zoo.explorer.session import Session
from zoo.explorer.static_files import static_files

STATIC = {path: content.decode() for path, content in static_files().items() if path.endswith((".js", ".css"))}


class Explorer(anywidget.AnyWidget):
    """A widget that answers the page's questions from a session.

    A question is a message ``{"id": 7, "view": "map", "parameters": {...}}``; its answer is ``{"id": 7, "answer":
    {...}}``, or ``{"id": 7, "error": "a sentence"}``.

    Args:
        session: the open models.
    """

    _esm = bundle(STATIC, "widget.js", "{ render }")
    style_sheet = traitlets.Unicode(STATIC["style.css"]).tag(sync=True)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.on_msg(self.receive)

    def receive(self, widget: object, question: dict[str, Any], buffers: object) -> None:
        """Answer a message of the page."""
        self.send({"id": question.get("id"), **reply(self.session, question)})


def reply(session: Session, question: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a question, or the error, in one sentence."""
    try:
        return {"answer": session.ask(question["view"], question["parameters"])}
    except ZooError as error:
        return {"error": str(error)}
    except Exception as error:  # a notebook does not show what goes wrong in a message
        return {"error": f"the kernel could not answer: {type(error).__name__}: {first_line(error)}"}
