"""Objects of real radiographs: valid, though the sources are not, and their patients' own."""

from pathlib import Path

import pydicom
import pytest
from dicom_cases import complaints, raw, run

from pleura import Predictor
from pleura.io.origin import IDENTITY_TAGS
from pleura.outputs import OutputFolder

pytestmark = pytest.mark.real_data
NAMED = ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "StudyTime", "PatientSex")
WANTED = 2
"""Positives and negatives each."""


@pytest.fixture(scope="module")
def written(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Path]:
    """Folder of the objects by source; some files that the embedded model finds positive."""
    predictor = Predictor.load()
    folder = tmp_path_factory.mktemp("objects")
    found: dict[bool, int] = {True: 0, False: 0}
    sources = {}
    with OutputFolder(folder, ["seg", "sr", "sc"]) as output:
        for path in sorted((real_data / "test_dicom").glob("*.dcm"))[:60]:
            if sum(found.values()) == 2 * WANTED:
                break
            result = predictor.predict(path)
            if found[result.present] < WANTED:
                found[result.present] += 1
                output.write(result)
                sources[path] = folder
        assert not output.unwritten.codes
    assert found == {True: WANTED, False: WANTED}
    return sources


def objects(written: dict[Path, Path]) -> list[tuple[Path, Path]]:
    pairs = [
        (source, folder / kind / f"{source.stem}.dcm")
        for source, folder in written.items()
        for kind in ("seg", "sr", "sc")
    ]
    return [(source, path) for source, path in pairs if path.exists()]


def test_every_object_is_valid(written: dict[Path, Path]) -> None:
    pairs = objects(written)
    assert len(pairs) == 2 * len(written) + WANTED  # a negative has no Segmentation
    for _, path in pairs:
        assert complaints(path) == []
        run("dcmdump", path)


def test_every_object_is_the_patient_s(written: dict[Path, Path]) -> None:
    for source, path in objects(written):
        before = pydicom.dcmread(source, stop_before_pixels=True)
        after = pydicom.dcmread(path)
        for tag in before.keys():  # noqa: SIM118
            if tag in IDENTITY_TAGS and tag in after:
                assert raw(after, tag) == raw(before, tag)
        assert all(keyword in after for keyword in NAMED)
        assert after.get("LossyImageCompression", "01") == "01"  # the sources are JPEG


def test_masks_lie_on_the_grid_of_the_file(written: dict[Path, Path]) -> None:
    predictor = Predictor.load()
    segments = [(source, path) for source, path in objects(written) if path.parent.name == "seg"]
    assert len(segments) == WANTED
    for source, path in segments:
        mask = predictor.predict(source).mask
        assert (pydicom.dcmread(path).pixel_array.astype(bool) == mask).all()
