"""The report: TID 1500 with the finding, its numbers, its places, and what it is not."""

from dataclasses import replace
from typing import Any

import highdicom
import numpy as np
import pytest
from dicom_cases import NOW, film, object_of, predict, read
from dicom_maker import INSTANCE_UID
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ComprehensiveSRStorage

from pleura import Prediction, Predictor
from pleura.masks import connected_regions
from pleura.outputs.dicom.build import build
from pleura.outputs.dicom.options import DicomOptions, Kind
from pleura.radiograph import Notice


def report(prediction: Prediction, seg_written: bool = False) -> Any:
    made = object_of(prediction, "sr", seg_written=seg_written)
    return highdicom.sr.ComprehensiveSR.from_dataset(made)


def whole_image(made: Any) -> Any:
    (group,) = made.content.get_image_measurement_groups()
    return group


def answer(group: Any) -> Any:
    """The coded answer to the question of a pneumothorax."""
    (evaluation,) = group.get_qualitative_evaluations(name=codes.SCT.Pneumothorax)
    return evaluation.value


def numbers(group: Any) -> dict[str, tuple[float, str]]:
    return {m.name.meaning: (m.value, m.unit.value) for m in group.get_measurements()}


def items(node: Dataset) -> list[Dataset]:
    """All content items below one, in their order."""
    below = list(node.get("ContentSequence", []))
    return [item for child in below for item in (child, *items(child))]


def texts(made: Dataset, code: str) -> list[str]:
    return [
        item.TextValue
        for item in items(made)
        if item.ValueType == "TEXT" and item.ConceptNameCodeSequence[0].CodeValue == code
    ]


def test_document(predictor: Predictor) -> None:
    made = object_of(predict(predictor, film()), "sr")
    assert made.SOPClassUID == ComprehensiveSRStorage
    assert made.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert (made.VerificationFlag, made.CompletionFlag) == ("UNVERIFIED", "COMPLETE")
    assert made.PreliminaryFlag == "PRELIMINARY"
    assert texts(made, "121106") == ["Research software, not a medical device."]
    assert texts(made, "121013") == ["tiny 0.0.1"]
    (study,) = made.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == INSTANCE_UID


def test_a_positive_is_present_with_its_probability_and_its_point(predictor: Predictor) -> None:
    prediction = predict(predictor, film())
    group = whole_image(report(prediction))
    assert answer(group) == codes.cid240.Present
    assert group.finding_type == codes.SCT.Pneumothorax
    found = numbers(group)
    assert found["Probability"] == (pytest.approx(prediction.probability, abs=1e-6), "1")
    assert found["Threshold Value"] == (0.5, "1")
    assert found["Area"] == (pytest.approx(prediction.area_mm2, abs=0.05), "mm2")
    made = object_of(prediction, "sr")
    assert "operating point=balanced" in texts(made, "111002")
    assert f"manifest SHA-256={predictor.model.sha256}" in texts(made, "111002")
    assert set(texts(made, "111001")) == {"Pleura tiny"}
    assert set(texts(made, "111003")) == {"0.0.1"}


@pytest.mark.parametrize("seg_written", [False, True])
def test_a_negative_is_absent_and_names_no_finding(predictor: Predictor, seg_written: bool) -> None:
    prediction = predict(predictor, film(box=None))
    made = report(prediction, seg_written)
    group = whole_image(made)
    assert answer(group) == codes.cid240.Absent
    assert group.finding_type is None
    assert set(numbers(group)) == {"Probability", "Threshold Value"}
    assert made.content.get_planar_roi_measurement_groups() == []


def test_a_finding_without_a_place_is_present_without_an_area(predictor: Predictor) -> None:
    prediction = predict(predictor, film())
    nowhere = replace(prediction, mask=np.zeros_like(prediction.mask), regions=())
    made = report(nowhere, seg_written=True)
    group = whole_image(made)
    assert answer(group) == codes.cid240.Present
    assert "Area" not in numbers(group)
    assert made.content.get_planar_roi_measurement_groups() == []


def two_regions(prediction: Prediction) -> Prediction:
    mask = np.zeros_like(prediction.mask)
    mask[30:90, 20:70] = True
    mask[40:60, 30:50] = False  # a hole
    mask[100:120, 180:200] = True
    regions = connected_regions(mask, prediction.probability_map)
    return replace(prediction, mask=mask, regions=regions)


def test_each_region_has_its_outline_area_and_side(predictor: Predictor) -> None:
    prediction = two_regions(predict(predictor, film()))
    groups = report(prediction).content.get_planar_roi_measurement_groups()
    assert len(groups) == 2
    for group, region, side in zip(groups, prediction.regions, ("Right", "Left"), strict=True):
        assert group.finding_type == codes.SCT.Pneumothorax
        assert group.roi.graphic_type.value == "POLYLINE"
        columns, rows = group.roi.value.T
        top, left, bottom, right = region.box
        assert (rows.min(), columns.min(), rows.max(), columns.max()) == (top, left, bottom, right)
        assert (group.roi.value[0] == group.roi.value[-1]).all()
        found = numbers(group)
        assert found["Area"] == (pytest.approx(region.area_px * 0.143**2, abs=0.051), "mm2")
        assert found["Probability"] == (pytest.approx(region.score, abs=1e-6), "1")
        (site,) = group.finding_sites
        assert site.value == codes.SCT.Pleura
        assert site.laterality.meaning == side
    assert len({group.tracking_uid for group in groups}) == 2
    sites = whole_image(report(prediction)).finding_sites
    assert [site.laterality.meaning for site in sites] == ["Right", "Left"]


def test_no_side_and_no_millimetres_without_the_header_s_word(predictor: Predictor) -> None:
    prediction = predict(predictor, film(PatientOrientation=None, PixelSpacing=None))
    group = whole_image(report(prediction))
    assert group.finding_sites == []
    assert numbers(group)["Area"] == (prediction.area_px, "{pixels}")


def test_it_refers_to_the_segmentation_that_is_written_with_it(predictor: Predictor) -> None:
    prediction = predict(predictor, film())
    for fractional in (False, True):
        options = DicomOptions(seg_written=True, fractional=fractional)
        objects = {}
        for kind in (Kind.SEG, Kind.SR):
            data = build(kind, prediction, options, NOW)
            assert data is not None
            objects[kind] = read(data)
        segmentation = objects[Kind.SEG]
        made = highdicom.sr.ComprehensiveSR.from_dataset(objects[Kind.SR])
        (group,) = made.content.get_planar_roi_measurement_groups(
            reference_type=codes.DCM.ReferencedSegmentationFrame
        )
        reference = group.referenced_segmentation_frame[0].ReferencedSOPSequence[0]
        assert reference.ReferencedSOPInstanceUID == segmentation.SOPInstanceUID
        assert reference.ReferencedFrameNumber == 1
        assert group.tracking_uid == segmentation.SegmentSequence[0].TrackingUID
        assert segmentation.SOPInstanceUID in {uid for *_, uid, _ in made.get_evidence()}
        assert len(made.content.get_planar_roi_measurement_groups()) == 2


def test_warnings_of_the_result_stand_in_the_report(predictor: Predictor) -> None:
    prediction = predict(predictor, film())
    said = Notice("odd", "The film is odd\\strange.")
    quality = replace(prediction.quality, warnings=(said,))
    made = object_of(replace(prediction, quality=quality), "sr")
    assert texts(made, "121106")[1:] == ["The film is odd?strange."]
