"""The Segmentation: our mask bit for bit, on the pixels of the source, and nothing invented."""

from dataclasses import replace

import highdicom
import numpy as np
import pytest
from dicom_cases import BOX, COLUMNS, NOW, ROWS, file_of, film, object_of, predict
from dicom_maker import DX, INSTANCE_UID, SERIES_UID, to_bytes
from pydicom.uid import SegmentationStorage

from pleura import Predictor
from pleura.masks import connected_regions
from pleura.outputs.dicom.build import build
from pleura.outputs.dicom.options import DicomOptions, Kind


def code(sequence) -> tuple[str, str, str]:  # type: ignore[no-untyped-def]
    item = sequence[0]
    return item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning


def test_mask_is_ours_bit_for_bit_on_the_grid_of_the_source(predictor: Predictor) -> None:
    prediction = predict(predictor, film())
    made = object_of(prediction, "seg")
    assert (made.Rows, made.Columns, made.NumberOfFrames) == (ROWS, COLUMNS, 1)
    assert (made.pixel_array.astype(bool) == prediction.mask).all()
    rows, columns = np.nonzero(made.pixel_array)
    top, left, bottom, right = BOX
    assert abs(rows.min() - top) < 6
    assert abs(rows.max() - bottom) < 6
    assert abs(columns.min() - left) < 6
    assert abs(columns.max() - right) < 6


def test_highdicom_finds_the_mask_by_the_source_image(predictor: Predictor, tmp_path) -> None:
    prediction = predict(predictor, film())
    path = tmp_path / "seg.dcm"
    path.write_bytes(file_of(prediction, "seg"))
    made = highdicom.seg.segread(path)
    pixels = made.get_pixels_by_source_instance([INSTANCE_UID], segment_numbers=[1])
    assert (pixels[0, :, :, 0].astype(bool) == prediction.mask).all()
    assert made.get_segment_numbers(segment_label="Pneumothorax") == [1]


@pytest.mark.parametrize("seed", range(3))
def test_any_mask_on_any_grid(predictor: Predictor, seed: int) -> None:
    """Odd sizes, where the bits of a row do not fill its bytes."""
    rng = np.random.default_rng(seed)
    shape = (200 + int(rng.integers(0, 60)), 201 + int(rng.integers(0, 60)))
    pixels = np.full(shape, 200, np.uint8)
    pixels[:90] = 0
    source = film()
    source.Rows, source.Columns = shape
    source.PixelData = pixels.tobytes() + b"\0" * (pixels.size % 2)
    prediction = predict(predictor, source)
    mask = rng.random(shape) < 0.3
    prediction = replace(prediction, mask=mask, regions=connected_regions(mask))
    assert (object_of(prediction, "seg").pixel_array.astype(bool) == mask).all()


def test_segment_says_what_it_is_and_who_found_it(predictor: Predictor) -> None:
    made = object_of(predict(predictor, film()), "seg")
    assert made.SOPClassUID == SegmentationStorage
    assert (made.Modality, made.SegmentationType) == ("SEG", "BINARY")
    (segment,) = made.SegmentSequence
    assert code(segment.SegmentedPropertyTypeCodeSequence) == ("36118008", "SCT", "Pneumothorax")
    category = code(segment.SegmentedPropertyCategoryCodeSequence)
    assert category == ("49755003", "SCT", "Morphologically Abnormal Structure")
    assert segment.SegmentAlgorithmType == "AUTOMATIC"
    (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("Pleura tiny", "0.0.1")
    assert "balanced" in algorithm.AlgorithmParameters
    assert "0.5" in algorithm.AlgorithmParameters
    assert code(algorithm.AlgorithmFamilyCodeSequence)[0] == "123110"


def test_it_refers_to_series_and_image(predictor: Predictor) -> None:
    made = object_of(predict(predictor, film()), "seg")
    (series,) = made.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == SERIES_UID
    assert series.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == INSTANCE_UID
    (frame,) = made.PerFrameFunctionalGroupsSequence
    (image,) = frame.DerivationImageSequence[0].SourceImageSequence
    assert image.ReferencedSOPInstanceUID == INSTANCE_UID
    assert image.SpatialLocationsPreserved == "YES"


@pytest.mark.parametrize("named", [False, True])
def test_a_projection_has_no_frame_of_reference(predictor: Predictor, named: bool) -> None:
    source = film(SOPClassUID=DX, Modality="DX")
    if named:
        source.FrameOfReferenceUID = "1.2.3"
    made = object_of(predict(predictor, source), "seg")
    assert "FrameOfReferenceUID" not in made
    shared = made.SharedFunctionalGroupsSequence[0]
    for group in (shared, *made.PerFrameFunctionalGroupsSequence):
        assert "PlanePositionSequence" not in group
        assert "PlaneOrientationSequence" not in group
    assert "PixelMeasuresSequence" not in shared
    assert made.PatientOrientation == ["L", "F"]


@pytest.mark.parametrize("kind", ["7", "7.1", "7.2", "7.3", "7.4"])
def test_captures_of_one_and_of_several_frames(predictor: Predictor, kind: str) -> None:
    uid = f"1.2.840.10008.5.1.4.1.1.{kind}"
    prediction = predict(predictor, film(SOPClassUID=uid))
    made = object_of(prediction, "seg")
    assert (made.pixel_array.astype(bool) == prediction.mask).all()
    assert "PixelMeasuresSequence" not in made.SharedFunctionalGroupsSequence[0]


def test_fractions_are_the_map_in_steps_of_255(predictor: Predictor) -> None:
    prediction = predict(predictor, film())
    made = object_of(prediction, "seg", fractional=True)
    assert (made.SegmentationType, made.SegmentationFractionalType) == ("FRACTIONAL", "PROBABILITY")
    assert made.MaximumFractionalValue == 255
    assert np.abs(made.pixel_array / 255.0 - prediction.probability_map).max() <= 0.5 / 255 + 1e-6
    assert np.unique(made.pixel_array).size > 2


def test_nothing_is_written_of_a_negative_unless_it_is_asked_for(predictor: Predictor) -> None:
    prediction = predictor.predict(to_bytes(film(box=None)), always_segment=True)
    assert not prediction.present
    assert build(Kind.SEG, prediction, DicomOptions(), NOW) is None
    for fractional in (False, True):
        made = object_of(prediction, "seg", negatives=True, fractional=fractional)
        assert made.NumberOfFrames == 1
        assert not made.pixel_array.any()


def test_a_finding_without_a_place_is_not_segmented(predictor: Predictor) -> None:
    prediction = predict(predictor, film())
    nowhere = replace(prediction, mask=np.zeros_like(prediction.mask), regions=())
    assert nowhere.present
    assert build(Kind.SEG, nowhere, DicomOptions(), NOW) is None


@pytest.mark.parametrize(
    ("elements", "wanted"),
    [
        ({}, ("00", None, None)),
        ({"LossyImageCompression": "00"}, ("00", None, None)),
        (
            {
                "LossyImageCompression": "01",
                "LossyImageCompressionRatio": "12.5",
                "LossyImageCompressionMethod": "ISO_10918_1",
            },
            ("01", 12.5, "ISO_10918_1"),
        ),
        ({"LossyImageCompression": "01"}, ("01", None, None)),
    ],
)
@pytest.mark.parametrize("kind", ["seg", "sc"])
def test_what_was_lost_stays_lost(
    predictor: Predictor, kind: str, elements: dict[str, str], wanted: tuple[object, ...]
) -> None:
    made = object_of(predict(predictor, film(**elements)), kind)
    found = tuple(made.get(f"LossyImageCompression{end}") for end in ("", "Ratio", "Method"))
    assert found == wanted


@pytest.mark.parametrize("kind", ["seg", "sc"])
def test_a_lossy_transfer_syntax_counts_where_the_header_is_silent(
    predictor: Predictor, kind: str
) -> None:
    prediction = predict(predictor, film())
    jpeg = replace(prediction.radiograph, encoding="1.2.840.10008.1.2.4.50")
    made = object_of(replace(prediction, radiograph=jpeg), kind)
    assert made.LossyImageCompression == "01"
    assert made.LossyImageCompressionMethod == "ISO_10918_1"
