"""One film: the viewer, what is said of it, what can be taken away, and what the reader says."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

import streamlit as st

from pleura.app import components, words
from pleura.app.cases import Case, Entry
from pleura.app.engine import Engine
from pleura.app.pages import shared
from pleura.app.pages.verdict import show_verdict
from pleura.app.patient import patient_in_words
from pleura.app.rendering import contours_of, film, heat_of, mask_of
from pleura.app.report_pdf import Page, make_pdf
from pleura.app.session import Session, neighbours
from pleura.app.takeaway import LABELS, as_json, file_name
from pleura.errors import PleuraError
from pleura.outputs import PredictionRecord
from pleura.radiograph import Radiograph


def show_case(session: Session, engine: Engine, case: Case, entries: Sequence[Entry]) -> None:
    """Draw everything of one film; one whose file has gone since is told of instead."""
    try:
        radiograph = session.tray.radiograph(case, engine.radiograph)
    except PleuraError as error:
        st.subheader(case.title)
        shared.complain(error)
        return
    record = case.results[session.point]
    if session.tried is not None:
        record = engine.tried(case, radiograph, session.tried)
    _show_finding(session, case, record, radiograph)
    _show_viewer(session, case, record, radiograph, entries)
    said, taken = st.columns([3, 2], gap="medium")
    with said:
        _show_scale(session, engine, case, record)
        _show_regions(record)
    with taken:
        _show_takeaway(session, engine, case, radiograph)
        show_verdict(session, case, case.results[session.point], radiograph)


def _show_finding(
    session: Session, case: Case, record: PredictionRecord, radiograph: Radiograph
) -> None:
    mark = ":orange[●] " if record.present else ""
    st.markdown(f"#### {mark}{words.finding(record)}: probability {words.probability(record)}")
    # In a container of their own, or one line more would make the browser build all below anew.
    with st.container():
        if session.identifying:
            st.text(f"{session.name_of(case)}. {patient_in_words(radiograph)}")
        for notice in record.quality.warnings:
            st.warning(notice.message, icon=":material/warning:")


def _show_viewer(
    session: Session,
    case: Case,
    record: PredictionRecord,
    radiograph: Radiograph,
    entries: Sequence[Entry],
) -> None:
    components.film(_film(session, case, radiograph))
    regions = "; ".join(words.region_in_words(region) for region in record.regions)
    label = (
        f"{case.title}. {words.finding(record)}, probability {record.probability:.2f}. {regions}"
    )

    def drawn() -> None:
        said = st.session_state["viewer"].drawing or {}
        points = said.get("points")
        session.draw(
            str(said.get("token", "")),
            None if points is None else [(float(x), float(y)) for x, y in points],
        )

    components.viewer(
        token=case.id,
        outlines=contours_of(mask_of(record)),
        label=label,
        drawable=shared.feedback_store() is not None,
        drawing=session.drawings.get(case.id),
        neighbours=neighbours(entries, case),
        on_step=lambda: session.open(st.session_state["viewer"].step),
        on_drawing=drawn,
    )


def _film(session: Session, case: Case, radiograph: Radiograph) -> bytes:
    """The film for the browser; packed anew only when another one comes into view."""
    held = st.session_state.get("film-in-view")
    if held is None or held[0] != case.id:
        heat = None
        if case.raw is not None and case.raw.network_map is not None:
            heat = heat_of(case.raw.network_map, case.raw.letterbox)
        held = case.id, film(case.id, radiograph.pixels, heat)
        st.session_state["film-in-view"] = held
    return bytes(held[1])


def _show_scale(session: Session, engine: Engine, case: Case, record: PredictionRecord) -> None:
    model = engine.model
    point = model.point_of(case.results[session.point])
    points = model.points or (point,)

    def chosen() -> None:
        said = st.session_state["scale"].choose
        if said and said["point"] in {each.name for each in model.points}:
            tried = said.get("tried")
            session.choose(said["point"], None if tried is None else float(tried))

    components.scale(
        points=[{"name": each.name, "threshold": each.threshold} for each in points],
        chosen=point.name,
        tried=session.tried,
        probability=record.probability,
        switchable=engine.switchable,
        on_choose=chosen,
    )
    if session.tried is None:
        st.markdown(f"**{point.name}**: {words.point_in_words(point)}")
        tested = (
            ""
            if model.manifest is None
            else words.tested_in_words(point, model.manifest.performance)
        )
        st.caption(f"{words.cohort_in_words(point)} {tested}")
    else:
        st.markdown(words.threshold_in_words(session.tried, points))
        st.caption(f"Only tried on this film: the list and all files go by '{session.point}'.")
    with st.expander("All operating points"):
        for each in points:
            st.markdown(f"**{each.name}**: {words.point_in_words(each)}")


def _show_regions(record: PredictionRecord) -> None:
    where = [words.region_in_words(region) for region in record.regions]
    st.markdown("\n".join(f"- {text}" for text in where or ["Nothing is outlined."]))
    doubt = words.doubt_in_words(record)
    if doubt:
        st.caption(doubt)
    st.caption(f"{record.model.name} {record.model.version}, {words.timings_in_words(record)}")


def _show_takeaway(session: Session, engine: Engine, case: Case, radiograph: Radiograph) -> None:
    point, identifying = session.point, session.identifying
    with st.popover("Take away", icon=":material/download:", width="stretch"):
        st.caption(f"At the operating point '{point}'.")

        def pdf() -> bytes:
            page = Page(
                title=session.name_of(case),
                patient=patient_in_words(radiograph) if identifying else "",
                record=case.results[point],
                point=engine.model.point_of(case.results[point]),
                pixels=radiograph.pixels,
                made=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
            )
            return make_pdf(page)

        def button(label: str, make: Callable[[], bytes], ending: str, media_type: str) -> None:
            name = file_name(case, ending)
            st.download_button(label, make, name, media_type, on_click="ignore", width="stretch")

        button("Page (PDF)", pdf, "page.pdf", "application/pdf")
        button(
            "Numbers (JSON)",
            lambda: as_json(case, point, identifying),
            "result.json",
            "application/json",
        )
        kinds = engine.kinds(case)
        for kind in kinds:
            button(
                LABELS[kind],
                partial(engine.take, case, point, kind),
                f"{kind.value}{kind.suffix}",
                kind.media_type,
            )
        if any(kind.suffix == ".dcm" for kind in kinds):
            st.caption("DICOM objects carry patient and study of the film, as a PACS needs them.")
        else:
            st.caption(
                "No DICOM objects: the film is no DICOM file, or its header lacks what they refer"
                " to."
            )
