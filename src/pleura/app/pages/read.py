"""The page 'Read': films in, a list by urgency, one film in view."""

from time import perf_counter

import streamlit as st

from pleura.app import components
from pleura.app.cases import Case, Entry, Refused
from pleura.app.engine import Engine
from pleura.app.pages import shared
from pleura.app.pages.case import show_case
from pleura.app.pages.sending import show_ways, show_welcome
from pleura.app.session import Session, summary
from pleura.app.takeaway import as_csv, as_json_lines

SHOWN_EVERY = 1.0
"""Seconds of judging after which the list is drawn again."""


def show() -> None:
    """Draw the page, then judge what waits, and draw it again."""
    session, engine = shared.session(), shared.engine()
    with st.container():
        _show_head(session, engine)
    progress = st.empty()
    _show_progress(session, progress)
    entries = session.entries
    if entries:
        left, right = st.columns([1, 3], gap="medium")
        opened = session.opened(entries)
        with left:
            _show_list(session, entries, opened)
        with right:
            if isinstance(opened, Case):
                show_case(session, engine, opened, entries)
            elif isinstance(opened, Refused):
                _show_refused(session, opened)
    _work(session, engine, progress)


def _show_head(session: Session, engine: Engine) -> None:
    """The ways in: wide on an empty page, folded away once there are films."""
    if not session.tray.entries and not session.tray.waiting:
        show_welcome(session, engine)
        return
    row = st.container(horizontal=True, vertical_alignment="center")
    row.markdown(f"**{summary(session.entries, session.point)}**", width="stretch")
    with row.popover("Add films", icon=":material/add:"):
        show_ways(session, engine)
    with row.popover("Options", icon=":material/tune:"):
        # Streamlit forgets the state of what another page does not draw; the session does not.
        st.session_state.setdefault("identifying", session.identifying)
        st.session_state.setdefault("reader", session.reader)
        session.identifying = st.checkbox(
            "Show file names and patients",
            key="identifying",
            help="Off, nothing on this page or in its tables names a patient.",
        )
        session.reader = st.text_input(
            "Your name", key="reader", help="Stored with your feedback, and with nothing else."
        )
        if st.button("Forget all films"):
            session.clear()
            st.rerun()


def _show_list(session: Session, entries: list[Entry], opened: Entry | None) -> None:
    rows = [
        components.row_of(entry, session.point, session.name_of(entry), entry is opened)
        for entry in entries
    ]
    components.worklist(rows, lambda: session.open(st.session_state["worklist"].open))
    row = st.container(horizontal=True)
    point, identifying = session.point, session.identifying
    row.download_button(
        "CSV",
        lambda: as_csv(entries, point, identifying),
        "pleura-session.csv",
        "text/csv",
        on_click="ignore",
        width="stretch",
    )
    row.download_button(
        "JSON",
        lambda: as_json_lines(entries, point, identifying),
        "pleura-session.jsonl",
        "application/json",
        on_click="ignore",
        width="stretch",
    )


def _show_refused(session: Session, refused: Refused) -> None:
    st.subheader(f"{refused.title}: not judged")
    if session.identifying:
        st.text(session.name_of(refused))  # no Markdown: the name is a stranger's
    st.warning(f"{refused.refusal.message}\n\n**What to do:** {refused.refusal.hint}")
    st.caption(f"Code: {refused.refusal.code}")


def _show_progress(session: Session, place: "st.delta_generator.DeltaGenerator") -> None:
    done, all_films = session.tray.progress
    if session.tray.waiting:
        place.progress(done / all_films, f"Judged {done} of {all_films} films")
    elif session.tray.left_out:
        left_out = session.tray.left_out
        place.warning(
            f"{left_out} file(s) were not taken: a session holds only so many films and bytes. "
            "Forget the films that are done, under 'Options'."
        )


def _work(session: Session, engine: Engine, progress: "st.delta_generator.DeltaGenerator") -> None:
    """Judge for a while. What is under way when the reader clicks is finished, and not lost."""
    if not session.tray.waiting:
        return
    started = perf_counter()
    while session.tray.work(engine.judge) is not None:
        _show_progress(session, progress)
        if perf_counter() - started > SHOWN_EVERY:
            break
    st.rerun()
