"""What the reader says of a result."""

import streamlit as st

from pleura.app.cases import Case
from pleura.app.feedback import FeedbackStore, Verdict, feedback_on
from pleura.app.pages import shared
from pleura.app.session import Session
from pleura.outputs import PredictionRecord
from pleura.radiograph import Radiograph


def show_verdict(
    session: Session, case: Case, record: PredictionRecord, radiograph: Radiograph
) -> None:
    """Draw the buttons; without a file for feedback there are none."""
    store = shared.feedback_store()
    if store is None:
        return
    st.markdown("**Do you agree?**")
    if not session.reader.strip():
        st.caption("Enter your name under 'Options' to give feedback.")
        return
    outline_right = False
    if record.present and record.mask.area_px:
        outline_right = st.checkbox("The outline is right, too", key=f"outline-{case.id}")
    row = st.container(horizontal=True)
    verdict = None
    if row.button("Agree", width="stretch"):
        verdict = Verdict.AGREE
    if row.button("Disagree", width="stretch"):
        verdict = Verdict.DISAGREE
    drawn = session.drawings.get(case.id)
    if drawn is None:
        st.caption("To correct the outline, draw a box or polygon on the film.")
    elif st.button("Save the drawn outline", width="stretch"):
        verdict = Verdict.CORRECTED
    if verdict is not None:
        with shared.complaining():
            _save(store, session, case, record, radiograph, verdict, outline_right)
            st.success("Saved. Thank you.")


def _save(
    store: FeedbackStore,
    session: Session,
    case: Case,
    record: PredictionRecord,
    radiograph: Radiograph,
    verdict: Verdict,
    outline_right: bool,
) -> None:
    content = case.source.readable.read()
    root = shared.settings().root
    path = ""
    if root is not None and case.source.path:
        path = str((root / case.source.path).resolve())
    store.add(
        feedback_on(
            case,
            record,
            radiograph,
            content,
            reader=session.reader.strip(),
            verdict=verdict,
            outline_right=outline_right,
            drawn=session.drawings.get(case.id),
            path=path,
            patient=store.patient(radiograph),
        ),
        content,
    )
