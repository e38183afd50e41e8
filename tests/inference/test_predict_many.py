"""Many inputs: lazily, in order, decoding ahead by a bounded number, whatever some of them do."""

import gc
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from pleura import Prediction, Predictor
from pleura.inference import Refusal, Status
from pleura.io import Input
from pleura.radiograph import Radiograph
from tiny_model import radiograph

LOOK_AHEAD = 3


@pytest.fixture
def predictor(model_folder: Path) -> Predictor:
    return Predictor.load(model_folder, threads=1)


def names(results: Iterator[Prediction | Refusal]) -> list[str]:
    return [r.input if isinstance(r, Refusal) else r.radiograph.source for r in results]


def test_results_come_in_order(predictor: Predictor) -> None:
    pictures = [
        radiograph(100 + 50 * (9 - i), 120, (10, 10, 50, 50), source=f"{i}") for i in range(10)
    ]
    results = list(predictor.predict_many(pictures))
    assert names(iter(results)) == [f"{i}" for i in range(10)]
    for picture, result in zip(pictures, results, strict=True):
        assert isinstance(result, Prediction)
        alone = predictor.predict(picture)
        assert result.probability == alone.probability
        assert np.array_equal(result.mask, alone.mask)


def test_sources_are_taken_as_results_are(predictor: Predictor) -> None:
    taken = 0

    def endless() -> Iterator[Radiograph]:
        nonlocal taken
        while True:
            taken += 1
            yield radiograph(source=str(taken))

    results = predictor.predict_many(endless(), look_ahead=LOOK_AHEAD)
    assert taken == 0
    for done in range(1, 8):
        next(results)
        assert taken == done + LOOK_AHEAD
    results.close()  # type: ignore[attr-defined]
    assert not [t for t in threading.enumerate() if t.name.startswith("pleura-decode")]


def test_decoded_images_do_not_pile_up(predictor: Predictor) -> None:
    """However slowly the results are taken, only a few radiographs are alive."""
    picture = np.rint(radiograph().pixels * 255).astype(np.uint8)
    content = cv2.imencode(".png", picture)[1].tobytes()

    def alive() -> int:
        # Not isinstance: it would wake lazy modules and dead weak proxies of other libraries.
        return sum(type(thing) is Radiograph for thing in gc.get_objects())

    before, counts = alive(), []
    for result in predictor.predict_many([content] * 12, look_ahead=LOOK_AHEAD):
        assert isinstance(result, Prediction)
        time.sleep(0.02)
        counts.append(alive() - before)
    assert len(counts) == 12
    # The one in hand, those ahead, and the one that the loop inside still holds.
    assert 1 <= max(counts) <= LOOK_AHEAD + 2


def test_a_bad_input_yields_its_refusal_in_its_place(predictor: Predictor, tmp_path: Path) -> None:
    good = tmp_path / "good.png"
    cv2.imwrite(str(good), np.rint(radiograph().pixels * 255).astype(np.uint8))
    text = tmp_path / "notes.txt"
    text.write_text("no image")
    missing = tmp_path / "missing.dcm"

    results = list(predictor.predict_many([text, good, missing, good]))

    assert [type(r) for r in results] == [Refusal, Prediction, Refusal, Prediction]
    first, third = results[0], results[2]
    assert isinstance(first, Refusal)
    assert isinstance(third, Refusal)
    assert (first.status, first.code) == (Status.REFUSED, "not_an_image")
    assert (third.status, third.code) == (Status.REFUSED, "not_found")
    assert names(iter(results)) == [str(p) for p in (text, good, missing, good)]
    assert first.message
    assert first.hint


class Exploding(Input):
    """An input whose reading ends in an error that nobody foresaw and that quotes a patient."""

    def __init__(self) -> None:
        pass

    @property
    def name(self) -> str:  # type: ignore[override]
        return "exploding.dcm"

    def read(self) -> bytes:
        raise RuntimeError("DOE^JANE 1970-01-01")


def test_an_unforeseen_error_stays_with_its_input_and_names_no_patient(
    predictor: Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        results = list(predictor.predict_many([Exploding(), radiograph(source="after")]))
    failure = results[0]
    assert isinstance(failure, Refusal)
    assert failure == Refusal(
        "exploding.dcm", Status.FAILED, "internal_error", failure.message, failure.hint
    )
    assert "RuntimeError" in failure.message
    assert "RuntimeError" in caplog.text
    assert "DOE" not in caplog.text + str(failure)
    assert isinstance(results[1], Prediction)


def test_an_error_in_the_networks_stays_with_its_input(predictor: Predictor) -> None:
    broken = radiograph(source="broken")
    broken.pixels[5, 5] = np.nan
    results = list(predictor.predict_many([broken, radiograph(source="after")]))
    assert isinstance(results[0], Refusal)
    assert (results[0].status, results[0].code) == (Status.FAILED, "model_error")
    assert isinstance(results[1], Prediction)


def test_look_ahead_must_be_positive(predictor: Predictor) -> None:
    with pytest.raises(ValueError, match="look_ahead"):
        predictor.predict_many([], look_ahead=0)


def test_unnamed_bytes_are_called_by_their_place(predictor: Predictor) -> None:
    grey = np.rint(radiograph().pixels * 255).astype(np.uint8)
    good = cv2.imencode(".png", grey)[1].tobytes()
    results = list(predictor.predict_many([b"junk", good, b"more junk"]))
    assert [type(result) for result in results] == [Refusal, Prediction, Refusal]
    assert names(iter(results)) == ["input 1", "input 2", "input 3"]
