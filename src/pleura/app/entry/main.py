"""The script that Streamlit runs for every reader, whenever something happens."""

import streamlit as st

from pleura.app.pages import evaluate, feedback, model, read, shared

st.set_page_config(page_title="Pleura", page_icon=shared.icon(), layout="wide")
shared.frame()
st.navigation(
    [
        st.Page(read.show, title="Read", url_path="read", default=True),
        st.Page(model.show, title="Model", url_path="model"),
        st.Page(evaluate.show, title="Measure", url_path="measure"),
        st.Page(feedback.show, title="Feedback", url_path="feedback"),
    ],
    position="top",
).run()
