"""The page 'Model': what the model says of itself, and how it was measured."""

from pathlib import Path

import streamlit as st

from pleura.app import charts, words
from pleura.app.pages import shared
from pleura.inference import Manifest, find_model

CARD = "README.md"


def show() -> None:
    """Draw the page."""
    model = shared.engine().model
    st.header(f"{model.name} {model.version}")
    st.caption(f"It judges {model.place}.")
    if model.manifest is None:
        st.info("The service names model and operating point with each result, and tells no more.")
    else:
        _show_points(model.manifest, model.chosen)
        _show_manifest(model.manifest)
        _show_card()
    evaluation = shared.settings().evaluation
    if evaluation is not None:
        _show_evaluation(evaluation)


def _show_points(manifest: Manifest, chosen_at_first: str) -> None:
    st.subheader("Operating points")
    for point in manifest.operating_points:
        chosen = " (chosen at first)" if point.name == chosen_at_first else ""
        st.markdown(
            f"**{point.name}**{chosen}, from a probability of {point.threshold:.3f} on: "
            f"{words.point_in_words(point)} {words.tested_in_words(point, manifest.performance)}"
        )
    st.caption(words.cohort_in_words(manifest.operating_point(chosen_at_first)))


def _show_manifest(manifest: Manifest) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**What the operating points reach**")
        st.vega_lite_chart(charts.points_chart(manifest), width="stretch")
    with right:
        st.markdown("**How a logit becomes a probability**")
        st.vega_lite_chart(charts.calibration_chart(manifest), width="stretch")
        calibration = manifest.calibration
        if calibration.prevalence is not None:
            st.caption(
                f"Calibrated for films of which {calibration.prevalence:.0%} show a pneumothorax. "
                "Where fewer do, the probability is too high."
            )
    if manifest.performance:
        st.subheader("Measured")
        st.table(charts.estimates_table(manifest.performance.items()))
        st.caption(manifest.performance_cohort)
    st.subheader("Card")
    size = manifest.preprocessing.size
    lines = [
        manifest.description,
        f"input {size} x {size}, grey",
        "input gate: " + ("none" if manifest.gate is None else manifest.gate.fitted_on),
        *(f"{name}: {value}" for name, value in manifest.training.items()),
        manifest.licence,
    ]
    st.markdown("\n".join(f"- {_plain(line)}" for line in lines if line))


def _show_card() -> None:
    card = find_model(shared.settings().model) / CARD
    if card.is_file():
        with st.expander("README of the model"):
            st.markdown(card.read_text(encoding="utf-8"))


def _show_evaluation(folder: Path) -> None:
    """The plots that `pleura evaluate` wrote."""
    st.subheader("Evaluation")
    plots = sorted(folder.glob("*.png"))
    if not plots:
        st.warning("The folder that was given with --evaluation holds no plots.")
        return
    columns = st.columns(2, gap="large")
    for number, plot in enumerate(plots):
        name = plot.stem.replace("_", " ")
        columns[number % 2].image(plot.read_bytes(), caption=name, width="stretch")


def _plain(text: str) -> str:
    """Text that Markdown leaves as it is."""
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>#|$:" else char for char in text)
