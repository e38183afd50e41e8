"""What every page starts from: settings, the engine, the reader's session, and the frame."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
import streamlit as st

from pleura.app.cases import Tray
from pleura.app.engine import Engine, LocalEngine
from pleura.app.feedback import FeedbackStore
from pleura.app.session import Session
from pleura.app.settings import KEY_VARIABLE, MEBIBYTE, AppSettings
from pleura.app.words import DISCLAIMER
from pleura.errors import PleuraError
from pleura.outputs import encode_png

_SESSION = "pleura"
_FRAME = f"""
<style>
  .pleura-note {{
    position: fixed; left: 0; right: 0; bottom: 0; z-index: 999990; padding: 0.35rem 1rem;
    background: #ffd54d; color: #1a1a1a; font-weight: 600; text-align: center; font-size: 0.95rem;
  }}
  .stMainBlockContainer {{ padding: 3.4rem 1.5rem 4rem; }}
  .stMainBlockContainer h4 {{ padding: 0; }}
  @media (max-width: 640px) {{ .stMainBlockContainer {{ padding: 3.4rem 0.6rem 4rem; }} }}
</style>
<div class="pleura-note" role="note">{DISCLAIMER}</div>
"""


def frame() -> None:
    """What is always in view."""
    st.html(_FRAME)


def icon() -> BytesIO:
    """The tab's picture: a ring, from here, because Streamlit's own symbols are fetched abroad."""
    rows, columns = np.mgrid[-1:1:32j, -1:1:32j]
    ring = np.abs(np.hypot(rows, columns) - 0.7) < 0.25
    picture = np.full((32, 32, 3), 255, dtype=np.uint8)
    picture[ring] = 13, 115, 217
    return BytesIO(encode_png(picture))


def settings() -> AppSettings:
    """What the page was started with."""
    return AppSettings.from_environment()


def engine() -> Engine:
    """Who judges; loaded once a process. Where that fails, the page says why and ends."""
    try:
        return _engine(settings().model_dump_json())
    except PleuraError as error:
        complain(error)
        st.stop()


def local_engine() -> LocalEngine | None:
    """The engine of this process; None where a service judges."""
    found = engine()
    return found if isinstance(found, LocalEngine) else None


def feedback_store() -> FeedbackStore | None:
    """Where feedback goes; None where it goes nowhere."""
    given = settings()
    if given.feedback is None:
        return None
    try:
        return _feedback(given.model_dump_json())
    except PleuraError as error:
        complain(error)
        return None


def session() -> Session:
    """The session of this browser tab."""
    if _SESSION not in st.session_state:
        given = settings()
        tray = Tray(given.max_files, given.max_session_mib * MEBIBYTE)
        st.session_state[_SESSION] = Session(tray, engine().model.chosen)
    found: Session = st.session_state[_SESSION]
    return found


def complain(error: PleuraError) -> None:
    """Say what is wrong and what can be done."""
    st.error(f"{error.message} {error.hint}")


@contextmanager
def complaining() -> Iterator[None]:
    """Typed errors become a sentence and a hint on the page."""
    try:
        yield
    except PleuraError as error:
        complain(error)


@st.cache_resource(show_spinner="Loading the model")
def _engine(settings_json: str) -> Engine:
    given = AppSettings.model_validate_json(settings_json)
    if given.api_url is not None:
        from pleura.app.client import RemoteEngine

        return RemoteEngine(given, os.environ.get(KEY_VARIABLE, ""))
    return LocalEngine(given)


@st.cache_resource(show_spinner=False)
def _feedback(settings_json: str) -> FeedbackStore:
    given = AppSettings.model_validate_json(settings_json)
    assert given.feedback is not None
    return FeedbackStore(given.feedback, given.keep_images)
