"""The same content has the same UID; other content has another one."""

import re
import uuid
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from dicom_cases import NOW, file_of, film, object_of, predict
from dicom_maker import to_bytes

from pleura import Prediction, Predictor
from pleura.outputs.dicom import uids
from pleura.outputs.dicom.uids import uid_of

KINDS = ["seg", "sr", "sc"]


def uid(prediction: Prediction, kind: str, **options: bool) -> str:
    return str(object_of(prediction, kind, **options).SOPInstanceUID)


def test_form() -> None:
    """Below 2.25 stands a UUID as a decimal number without leading zeros (PS3.5 B.2)."""
    for number in range(200):
        made = uid_of("x", str(number))
        assert re.fullmatch(r"2\.25\.[1-9]\d{0,38}", made)
        value = uuid.UUID(int=int(made.removeprefix("2.25.")))
        assert (value.version, value.variant) == (8, uuid.RFC_4122)
    assert uid_of("a", "bc") != uid_of("ab", "c")


@pytest.mark.parametrize("kind", KINDS)
def test_two_runs_write_the_same_bytes_at_the_same_time(predictor: Predictor, kind: str) -> None:
    data = to_bytes(film())
    first = file_of(predictor.predict(data), kind)
    again = predictor.predict(data)
    renamed = replace(again, radiograph=replace(again.radiograph, source="other.dcm"))
    second = file_of(renamed, kind)
    assert first == second


@pytest.mark.parametrize("kind", KINDS)
def test_another_time_changes_the_times_and_nothing_else(predictor: Predictor, kind: str) -> None:
    prediction = predict(predictor, film())
    later = NOW + timedelta(days=400, hours=1)
    first, second = file_of(prediction, kind), file_of(prediction, kind, now=later)
    assert first != second
    for moment in (NOW, later):
        for form in ("%Y%m%d%H%M%S.%f", "%Y%m%d", "%H%M%S.%f"):
            first = first.replace(moment.strftime(form).encode(), b"*")
            second = second.replace(moment.strftime(form).encode(), b"*")
    assert first == second


def other_model(prediction: Prediction) -> Prediction:
    return replace(prediction, model=replace(prediction.model, sha256="0" * 64))


def other_point(prediction: Prediction) -> Prediction:
    point = prediction.operating_point.model_copy(update={"name": "other"})
    return replace(prediction, operating_point=point)


def other_probability(prediction: Prediction) -> Prediction:
    return replace(prediction, probability=prediction.probability - 1e-5)


def other_mask(prediction: Prediction) -> Prediction:
    mask = prediction.mask.copy()
    mask[tuple(np.argwhere(mask)[0])] = False
    return replace(prediction, mask=mask)


def other_patient(prediction: Prediction) -> Prediction:
    return with_header(prediction, PatientID="other")


def other_machine(prediction: Prediction) -> Prediction:
    return with_header(prediction, StationName="other")


def with_header(prediction: Prediction, **elements: str) -> Prediction:
    header = deepcopy(prediction.radiograph.header)
    assert header is not None
    for keyword, value in elements.items():
        setattr(header, keyword, value)
    return replace(prediction, radiograph=replace(prediction.radiograph, header=header))


def other_image(prediction: Prediction) -> Prediction:
    radiograph = prediction.radiograph
    identifiers = replace(radiograph.identifiers, sop_instance_uid="1.2.3")
    return replace(prediction, radiograph=replace(radiograph, identifiers=identifiers))


def other_orientation(prediction: Prediction) -> Prediction:
    radiograph = replace(prediction.radiograph, patient_orientation=("R", "F"))
    return replace(prediction, radiograph=radiograph)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "change",
    [
        *(other_model, other_point, other_probability, other_mask),
        *(other_patient, other_machine, other_image, other_orientation),
    ],
)
def test_other_content_has_another_uid(
    predictor: Predictor, kind: str, change: Callable[[Prediction], Prediction]
) -> None:
    prediction = predict(predictor, film())
    changed = change(prediction)
    assert uid(changed, kind) != uid(prediction, kind)
    assert uid(changed, kind) == uid(change(prediction), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_another_version_of_pleura_has_another_uid(
    predictor: Predictor, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prediction = predict(predictor, film())
    before = uid(prediction, kind)
    monkeypatch.setattr(uids, "__version__", "99")
    assert uid(prediction, kind) != before


def test_options_that_change_an_object_change_its_uid(predictor: Predictor) -> None:
    prediction = predict(predictor, film())
    segments = {uid(prediction, "seg"), uid(prediction, "seg", fractional=True)}
    reports = {
        uid(prediction, "sr", seg_written=seg, fractional=fractional)
        for seg, fractional in ((False, False), (True, False), (True, True))
    }
    captures = {uid(prediction, "sc"), uid(prediction, "sc", seg_written=True)}
    assert (len(segments), len(reports), len(captures)) == (2, 3, 1)


def test_all_uids_of_an_object_are_its_own_and_deterministic(predictor: Predictor) -> None:
    """highdicom draws some by lot; two runs must agree about all of them."""
    prediction = predict(predictor, film())
    made = object_of(prediction, "seg")
    drawn = {
        made.SOPInstanceUID,
        made.SeriesInstanceUID,
        made.DimensionOrganizationSequence[0].DimensionOrganizationUID,
        made.SegmentSequence[0].TrackingUID,
    }
    assert len(drawn) == 4
    assert all(value.startswith("2.25.") for value in drawn)
    index = made.DimensionIndexSequence[0].DimensionOrganizationUID
    assert index == made.DimensionOrganizationSequence[0].DimensionOrganizationUID
