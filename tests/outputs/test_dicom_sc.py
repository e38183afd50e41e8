"""The Secondary Capture: the overlay, pixel by pixel, as any viewer shows it."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from dicom_cases import COLUMNS, NOW, ROWS, film, object_of, predict
from dicom_maker import INSTANCE_UID
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from pleura import Predictor
from pleura.outputs import draw_overlay


@pytest.mark.parametrize("box", [(60, 40, 120, 100), None])
def test_pixels_are_those_of_the_overlay(
    predictor: Predictor, box: tuple[int, int, int, int] | None
) -> None:
    prediction = predict(predictor, film(box=box))
    made = object_of(prediction, "sc")
    assert made.SOPClassUID == SecondaryCaptureImageStorage
    assert made.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert (made.Rows, made.Columns, made.SamplesPerPixel) == (ROWS, COLUMNS, 3)
    assert made.PhotometricInterpretation == "RGB"
    wanted = cv2.cvtColor(draw_overlay(prediction), cv2.COLOR_BGR2RGB)
    assert (made.pixel_array == wanted).all()


def test_it_is_derived_from_the_source_by_software(predictor: Predictor) -> None:
    made = object_of(predict(predictor, film()), "sc")
    assert (made.ConversionType, made.Modality) == ("WSD", "OT")
    assert made.ImageType[:2] == ["DERIVED", "SECONDARY"]
    assert made.SourceImageSequence[0].ReferencedSOPInstanceUID == INSTANCE_UID
    assert "not a medical device" in made.DerivationDescription
    assert made.DateOfSecondaryCapture == f"{NOW:%Y%m%d}"


@pytest.mark.parametrize("said", ["YES", "NO", None, "PERHAPS"])
def test_burned_in_annotation_is_the_source_s(predictor: Predictor, said: str | None) -> None:
    """The caption names no patient, so it does not change what the attribute asks for."""
    made = object_of(predict(predictor, film(BurnedInAnnotation=said)), "sc")
    assert made.get("BurnedInAnnotation") == (said if said in ("YES", "NO") else None)


def test_orientation_and_spacing_are_the_source_s_or_unknown(predictor: Predictor) -> None:
    made = object_of(predict(predictor, film(PixelSpacingCalibrationType="GEOMETRY")), "sc")
    assert made.PatientOrientation == ["L", "F"]
    assert made.PixelSpacing == [0.143, 0.143]
    assert made.PixelSpacingCalibrationType == "GEOMETRY"
    made = object_of(predict(predictor, film(PatientOrientation=["LH", "FR"])), "sc")
    assert made.PatientOrientation == ["LH", "FR"]
    bare = film(PatientOrientation=None, PixelSpacing=None, ImagerPixelSpacing=["0.2", "0.2"])
    made = object_of(predict(predictor, bare), "sc")
    assert not made.PatientOrientation
    assert "PixelSpacing" not in made


def test_an_odd_number_of_bytes_is_padded(predictor: Predictor, tmp_path: Path) -> None:
    source = film()
    source.Rows, source.Columns = 201, 203
    source.PixelData = np.full(201 * 203, 200, np.uint8).tobytes() + b"\0"
    source.PixelData = b"\0" * 9000 + source.PixelData[9000:]
    made = object_of(predict(predictor, source), "sc")
    assert len(made.PixelData) == 201 * 203 * 3 + 1
    assert made.pixel_array.shape == (201, 203, 3)
