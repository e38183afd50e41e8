"""A PACS takes the objects, gives them back unchanged, and shows them where they lie."""

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from dicom_cases import NOW, film, predict, read, run
from dicom_maker import to_bytes

from orthanc_server import Orthanc, running_orthanc
from pleura import Prediction, Predictor
from pleura.outputs import draw_overlay
from pleura.outputs.dicom.build import build
from pleura.outputs.dicom.options import DicomOptions, Kind
from pleura.outputs.overlay import CONTOUR


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """One server with its own folder and free ports; the tests are skipped where it is missing."""
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture(scope="module")
def source() -> bytes:
    """Orthanc renders images of one bit only where the bits of a row fill its bytes."""
    return to_bytes(film(columns=240))


@pytest.fixture(scope="module")
def prediction(predictor: Predictor, source: bytes) -> Prediction:
    return predict(predictor, source)


@pytest.fixture(scope="module")
def files(prediction: Prediction, source: bytes) -> dict[str, bytes]:
    options = DicomOptions(seg_written=True)
    made = {kind.value: build(kind, prediction, options, NOW) for kind in Kind}
    return {kind: data for kind, data in made.items() if data is not None} | {"source": source}


def test_takes_them_by_stow_and_gives_them_back_unchanged(
    orthanc: Orthanc, files: dict[str, bytes]
) -> None:
    answer = orthanc.store(*files.values())
    assert len(answer["00081199"]["Value"]) == len(files)
    assert not answer.get("00081198", {}).get("Value"), "some objects were refused"
    for kind, data in files.items():
        sent, got = read(data), orthanc.retrieve(read(data))
        assert got == sent, kind
        assert got.get_item("PatientName").value == sent.get_item("PatientName").value


def test_all_objects_are_in_the_source_s_study(orthanc: Orthanc, files: dict[str, bytes]) -> None:
    orthanc.store(*files.values())
    _, body = orthanc.ask("/studies?expand")
    (study,) = json.loads(body)
    assert len(study["Series"]) == len(files)
    assert study["PatientMainDicomTags"]["PatientName"] == "Quixote^Alonso"


def test_storing_again_changes_nothing(orthanc: Orthanc, files: dict[str, bytes]) -> None:
    orthanc.store(*files.values())
    before = orthanc.ask("/instances")[1]
    orthanc.store(*files.values())
    assert orthanc.ask("/instances")[1] == before


def test_takes_them_by_c_store(orthanc: Orthanc, predictor: Predictor, tmp_path: Path) -> None:
    """Of another study, so that they come this way and no other."""
    other = predict(predictor, film(StudyInstanceUID="1.2.3.9", PatientID="9"))
    sent = {}
    for kind in Kind:
        data = build(kind, other, DicomOptions(), NOW)
        assert data is not None
        sent[kind] = read(data)
        (tmp_path / f"{kind}.dcm").write_bytes(data)
    paths = sorted(tmp_path.glob("*.dcm"))
    run("storescu", "-R", "-aec", "ORTHANC", "127.0.0.1", orthanc.dicom_port, *paths)
    for kind, made in sent.items():
        assert orthanc.retrieve(made) == made, kind


def test_shows_the_overlay_where_the_mask_lies(
    orthanc: Orthanc, files: dict[str, bytes], prediction: Prediction
) -> None:
    orthanc.store(files["sc"], files["seg"])
    picture = orthanc.rendered(read(files["sc"]))
    assert (picture == draw_overlay(prediction)).all()
    mask = prediction.mask
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    inner = cv2.erode(mask.astype(np.uint8), cross).astype(bool)
    contour = (picture == np.array(CONTOUR, np.uint8)).all(axis=2)
    assert contour[mask & ~inner].all()
    segment = orthanc.rendered(read(files["seg"]))
    assert ((segment > 0) == mask).all()
