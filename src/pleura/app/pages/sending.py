"""How films come in: sent by the browser, opened from a folder, or drawn on the spot."""

from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from pleura.app.cases import Source, Upload
from pleura.app.engine import Engine
from pleura.app.intake import films_below, films_of, folders_below
from pleura.app.pages import shared
from pleura.app.session import Session

_EXAMPLES = ((1, True), (2, False))


def show_welcome(session: Session, engine: Engine) -> None:
    """Draw what a reader sees first."""
    st.header("Is there a pneumothorax on this film?")
    st.markdown(
        "Send frontal chest radiographs of adults: DICOM, PNG, JPEG or TIFF, one or many, or a zip "
        f"archive of them. {engine.model.name} {engine.model.version} judges them "
        f"{engine.model.place}. Nothing is written to a disk."
    )
    show_ways(session, engine)
    if st.button("Try it with two synthetic films"):
        session.tray.add(_synthetic())
        st.rerun()


def show_ways(session: Session, engine: Engine) -> None:
    """Draw the ways in."""
    given = shared.settings()
    sent = st.file_uploader(
        f"Films: files of up to {given.max_upload_mib} MiB, {given.max_files} films in all",
        accept_multiple_files=True,
        key=f"films-{session.uploads}",
        max_upload_size=given.max_upload_mib,
    )
    if sent:
        for file in sent:
            content = file.getvalue()
            films = films_of(file.name, content, given.limits)
            session.tray.add(films, held_bytes=len(content))
        _forget(sent)
        session.uploads += 1
        st.rerun()
    if given.root is not None:
        _show_folders(session, given.root)
    if given.api_url is not None and st.button("Open the service's work list"):
        with shared.complaining():
            session.tray.add(engine.work_list() or [])
            st.rerun()


def _show_folders(session: Session, root: Path) -> None:
    folder = st.selectbox(
        "Or a folder of this machine",
        folders_below(root),
        format_func=folder_in_words,
    )
    if st.button("Open the folder") and folder is not None:
        with shared.complaining():
            session.tray.add(films_below(root, folder, shared.settings().limits))
            st.rerun()


def folder_in_words(folder: Path) -> str:
    """What a folder below the root is called in a list."""
    return "all of it" if folder == Path() else folder.as_posix()


def _synthetic() -> list[Source]:
    from pleura.phantom import draw, spec_for, to_dicom

    return [
        Source(Upload(f"synthetic-{seed}.dcm", to_dicom(draw(spec_for(seed, positive)))))
        for seed, positive in _EXAMPLES
    ]


def _forget(sent: list[UploadedFile]) -> None:
    """The tray has the bytes; Streamlit's own reference would hold them until the session ends."""
    context = get_script_run_ctx()
    remove = getattr(context and context.uploaded_file_mgr, "remove_file", None)
    if context is None or remove is None:
        return
    for file in sent:
        remove(session_id=context.session_id, file_id=file.file_id)
