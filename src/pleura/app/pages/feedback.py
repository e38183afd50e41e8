"""The page 'Feedback': what readers said, and the way to training."""

from collections import Counter

import streamlit as st

from pleura.app import feedback_index
from pleura.app.feedback import Feedback
from pleura.app.pages import shared
from pleura.app.words import counted


def show() -> None:
    """Draw the page."""
    st.header("What readers say")
    store = shared.feedback_store()
    if store is None:
        st.info("No feedback is kept: start the page with `--feedback FILE`.")
        return
    with shared.complaining():
        said = store.all()
        if not said:
            st.info("Nobody has given feedback yet. It is given on the page 'Read'.")
            return
        films, readers = {one.sha256 for one in said}, {one.reader for one in said}
        st.markdown(
            f"{counted(len(said), 'verdict')} of {counted(len(readers), 'reader')} on "
            f"{counted(len(films), 'film')}."
        )
        st.table([{"verdict": name, "number": n} for name, n in _counted(said)])
        without = sum(not one.path for one in said)
        if without:
            st.warning(
                f"{counted(without, 'verdict')} on films of which no file is known: they stand in "
                "the index without a path, and cannot be trained on. Start the page with "
                "`--keep-images` to keep such films."
            )
        st.download_button(
            "Index (Parquet)",
            lambda: feedback_index.index_bytes(said),
            "feedback-index.parquet",
            on_click="ignore",
        )
        st.caption(
            "`pleura train` and `pleura calibrate` read it on this machine, where the films are. "
            "What a reader said last of a film counts; where readers contradict each other, the "
            "label is unknown."
        )


def _counted(said: list[Feedback]) -> list[tuple[str, int]]:
    return Counter(one.verdict for one in said).most_common()
