"""The parts of the page that run in the browser. They load nothing from elsewhere."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
import streamlit as st

from pleura.app import words
from pleura.app.cases import Entry, Refused

Callback = Callable[[], None]


def _asset(*names: str) -> str:
    folder = files("pleura.app") / "assets"
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def _heat_colours() -> str:
    """The colours of the heat map, from 0 to 255, as the pictures that are taken away have them."""
    steps = np.arange(256, dtype=np.uint8)[:, None]
    colours = cv2.applyColorMap(steps, cv2.COLORMAP_PLASMA)[:, 0, ::-1]
    return f"const HEAT = {json.dumps(colours.tolist())};"


_film = st.components.v2.component("pleura_film", js=_asset("film.js"))
_viewer = st.components.v2.component(
    "pleura_viewer",
    html=_asset("viewer.html"),
    css=_asset("viewer.css"),
    js="\n".join((_heat_colours(), _asset("paint.js", "shape.js", "viewer.js"))),
)
_worklist = st.components.v2.component(
    "pleura_worklist",
    html=_asset("worklist.html"),
    css=_asset("worklist.css"),
    js=_asset("worklist.js"),
)
_scale = st.components.v2.component(
    "pleura_scale", html=_asset("scale.html"), css=_asset("scale.css"), js=_asset("scale.js")
)


def film(content: bytes) -> None:
    """Hand a film to the browser; it is sent once for as long as it is looked at.

    Args:
        content: of `pleura.app.rendering.film`.
    """
    _film(key="film", data=content)


def viewer(
    *,
    token: str,
    outlines: Sequence[Sequence[int]],
    label: str,
    drawable: bool,
    drawing: Sequence[Sequence[float]] | None,
    neighbours: tuple[str, str],
    on_step: Callback,
    on_drawing: Callback,
) -> None:
    """Show a film that was handed over.

    Args:
        token: of the film.
        outlines: of the mask; see `pleura.app.rendering.contours_of`.
        label: what a screen reader says of it.
        drawable: a reader may draw.
        drawing: what was drawn before: x and y of each corner.
        neighbours: ids of the films before and after it in the list; empty at its ends.
        on_step: called when a neighbour is asked for; `step` of the key `viewer` has its id.
        on_drawing: called when something was drawn; `drawing` has token and points.
    """
    data = {
        "token": token,
        "outlines": outlines,
        "label": label,
        "drawable": drawable,
        "drawing": drawing,
        "previous": neighbours[0],
        "next": neighbours[1],
    }
    _viewer(key="viewer", data=data, on_step_change=on_step, on_drawing_change=on_drawing)


def worklist(rows: Sequence[Mapping[str, Any]], on_open: Callback) -> None:
    """Show the list.

    Args:
        rows: of `row_of`.
        on_open: called when a film is chosen; `open` of the key `worklist` has its id.
    """
    _worklist(key="worklist", data={"entries": list(rows)}, on_open_change=on_open)


def row_of(entry: Entry, point: str, name: str, is_open: bool) -> dict[str, Any]:
    """One line of the list.

    Args:
        entry: a film.
        point: name of the operating point that decides.
        name: what the film is called.
        is_open: it is the one in view.
    """
    row = {"id": entry.id, "name": name, "open": is_open}
    if isinstance(entry, Refused):
        said = "Refused" if entry.refusal.status.value == "refused" else "Failed"
        return row | {
            "kind": "refused",
            "label": said,
            "detail": entry.refusal.message,
            "thumbnail": "",
            "share": None,
        }
    result = entry.results[point]
    warnings = words.counted(len(result.quality.warnings), "warning")
    shown = words.probability(result)
    return row | {
        "kind": "present" if result.present else "absent",
        "label": words.finding(result),
        "detail": f"{shown}, {warnings}" if result.quality.warnings else shown,
        "thumbnail": f"data:image/jpeg;base64,{b64encode(entry.thumbnail).decode()}",
        "share": result.probability,
    }


def scale(
    *,
    points: Sequence[Mapping[str, Any]],
    chosen: str,
    tried: float | None,
    probability: float | None,
    switchable: bool,
    on_choose: Callback,
) -> None:
    """Show a probability among the operating points, and let the reader choose one.

    Args:
        points: name and threshold of each.
        chosen: name of the one that decides.
        tried: another threshold that is being tried.
        probability: of the film in view.
        switchable: other thresholds can be tried.
        on_choose: called when one is chosen; `choose` of the key `scale` has point and tried.
    """
    data = {
        "points": list(points),
        "chosen": chosen,
        "tried": tried,
        "probability": probability,
        "switchable": switchable,
    }
    _scale(key="scale", data=data, on_choose_change=on_choose)
