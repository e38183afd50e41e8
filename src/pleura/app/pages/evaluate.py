"""The page 'Measure': labelled films or a table in, figures with intervals out."""

import json
from typing import TYPE_CHECKING

import streamlit as st

from pleura.app import measuring
from pleura.app.charts import estimates_table, probabilities_chart
from pleura.app.intake import folders_below
from pleura.app.measuring import Measured
from pleura.app.pages import shared
from pleura.app.pages.sending import folder_in_words
from pleura.app.words import counted
from pleura.errors import MissingDependencyError
from pleura.inference import OperatingPoint

if TYPE_CHECKING:
    from pleura.data.index import Index

_KEY = "measured"


def show() -> None:
    """Draw the page."""
    st.header("Measure the model on labelled films")
    try:
        measuring.check_extra()
    except MissingDependencyError as error:
        shared.complain(error)
        return
    st.markdown(
        "Send a table (CSV) with the columns `label` (0 or 1) and `probability`, such as "
        "`predictions.csv` of `pleura evaluate`. Or one with `name` and `label` for the films of "
        "this session, or, where a folder may be opened, for files in it."
    )
    _take_table()
    _take_folder()
    found: Measured | None = st.session_state.get(_KEY)
    if found is not None:
        _show_measured(found)


def _take_table() -> None:
    sent = st.file_uploader("Table", type="csv", key="labels")
    if sent is None or not st.button("Measure the table"):
        return
    content, root = sent.getvalue(), shared.settings().root
    session, engine = shared.session(), shared.engine()
    with shared.complaining():
        if measuring.has_probabilities(content):
            cases = measuring.cases_of_table(content)
        elif session.tray.cases:
            cases = measuring.cases_of_session(content, session.tray.cases, session.point)
        elif root is not None:
            _measure_index(measuring.index_of_table(content, root))
            return
        else:
            st.error("The table has no probabilities, and this session has no films.")
            return
        manifest = engine.model.manifest
        if manifest is None:
            st.error("The service does not tell its operating points.")
            return
        st.session_state[_KEY] = measuring.measured(
            cases, manifest.operating_points, session.point, manifest.calibration.prevalence
        )


def _take_folder() -> None:
    root = shared.settings().root
    if root is None or shared.local_engine() is None:
        return
    folder = st.selectbox(
        "Labelled folder of this machine",
        folders_below(root),
        format_func=folder_in_words,
        key="labelled",
    )
    if folder is not None and st.button("Judge and measure the folder"):
        with shared.complaining():
            _measure_index(measuring.index_of_folder(root / folder))


def _measure_index(index: "Index") -> None:
    engine = shared.local_engine()
    if engine is None:
        st.error("Folders are judged in this process only, not by a service.")
        return
    bar = st.progress(0.0, "Judging")

    def progress(done: int, total: int) -> None:
        bar.progress(done / total, f"Judged {done} of {total} films")

    st.session_state[_KEY] = measuring.measure_index(engine.predictor, index, progress)
    bar.empty()


def _show_measured(found: Measured) -> None:
    figures = found.figures
    counts = figures.counts
    st.subheader(
        f"{counted(counts.evaluated, 'film')}: {counts.positives} with a pneumothorax, "
        f"{counts.negatives} without"
    )
    if figures.not_predicted:
        codes = ", ".join(sorted({each.code or each.status for each in figures.not_predicted}))
        st.warning(f"{counted(len(figures.not_predicted), 'film')} without a result: {codes}.")
    _show_threshold(found)
    ranking, calibration = figures.discrimination, figures.calibration
    st.table(
        estimates_table(
            [
                ("AUC (DeLong)", ranking.auc),
                ("AUC (bootstrap over patients)", ranking.auc_clustered),
                ("average precision", ranking.average_precision),
                ("Brier score", calibration.brier),
                ("expected calibration error", calibration.expected_calibration_error),
                ("Dice, convention positives", figures.segmentation.dice_positives),
                ("IoU, convention positives", figures.segmentation.iou_positives),
            ]
        )
    )
    for point in figures.operating_points:
        with st.expander(f"{point.claimed.name}, from {point.claimed.threshold:.3f} on"):
            st.table(
                estimates_table(
                    [
                        ("sensitivity", point.sensitivity),
                        ("specificity", point.specificity),
                        ("precision", point.precision),
                        ("negative predictive value", point.negative_predictive_value),
                        ("F1", point.f1),
                        ("Dice end to end, convention positives", point.dice_positives),
                        ("Dice end to end, convention kaggle", point.dice_kaggle),
                    ]
                )
            )
    if figures.chest_tube_question is not None:
        st.caption(figures.chest_tube_question.text)
    columns = st.columns(2, gap="large")
    for number, (name, plot) in enumerate(found.plots.items()):
        columns[number % 2].image(plot, caption=name.replace("_", " "), width="stretch")
    _show_files(found)


def _show_threshold(found: Measured) -> None:
    """Any threshold, and what it would have done on these films; no bootstrap, so at once."""
    from pleura.evaluation import measure_point

    cases = found.cases[found.cases["status"] == "ok"]
    probabilities = cases["probability"].astype(float).tolist()
    labels = [label == 1 for label in cases["label"]]
    chosen = next(point for point in found.figures.operating_points if point.selected)
    threshold = st.slider(
        "Threshold", 0.0, 1.0, float(chosen.claimed.threshold), 0.005, key="measured-threshold"
    )
    st.vega_lite_chart(probabilities_chart(probabilities, labels, threshold), width="stretch")
    called = [probability >= threshold for probability in probabilities]
    table = {
        "": ["flagged", "not flagged"],
        "with a pneumothorax": _counts(called, labels),
        "without": _counts(called, [not label for label in labels]),
    }
    left, right = st.columns(2, gap="large")
    left.table(table)
    try:
        point = measure_point(
            "here", threshold, probabilities, labels, groups=cases["group"].tolist()
        )
    except ValueError:
        right.info("Sensitivity and specificity need films of both kinds.")
        return
    right.markdown(_in_words(point))


def _counts(called: list[bool], among: list[bool]) -> list[str]:
    flagged = sum(one and other for one, other in zip(called, among, strict=True))
    return [str(flagged), str(sum(among) - flagged)]


def _in_words(point: OperatingPoint) -> str:
    lines = []
    for name, value, interval in (
        ("Sensitivity", point.sensitivity, point.sensitivity_interval),
        ("Specificity", point.specificity, point.specificity_interval),
    ):
        bounds = "" if interval is None else f" [{interval[0]:.3f}, {interval[1]:.3f}]"
        lines.append(f"{name} **{value:.3f}**{bounds}")
    return "\n\n".join(lines)


def _show_files(found: Measured) -> None:
    st.download_button(
        "Table of cases (CSV)",
        lambda: found.cases.to_csv(index=False).encode(),
        "pleura-cases.csv",
        "text/csv",
        on_click="ignore",
    )
    figures = found.report or found.figures
    st.download_button(
        "Figures (JSON)",
        lambda: json.dumps(json.loads(figures.model_dump_json(by_alias=True)), indent=1),
        "pleura-figures.json",
        "application/json",
        on_click="ignore",
    )
    report = found.report
    if report is not None:
        from pleura.evaluation.write import render_page

        st.download_button(
            "The whole report (HTML)",
            lambda: render_page(report, found.plots),
            "pleura-report.html",
            "text/html",
            on_click="ignore",
        )
