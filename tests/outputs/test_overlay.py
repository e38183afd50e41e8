"""The overlay: the file's own size, the contour on the mask, the text legible."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pleura import Prediction, Predictor
from pleura.inference import Refusal, Status
from pleura.outputs import OutputFolder, draw_overlay
from pleura.outputs.decimals import decimals_for
from pleura.outputs.names import stem_of
from pleura.outputs.overlay import CONTOUR, caption_of
from tiny_model import radiograph

GREY = 0.02


def boundary_distance(mask: np.ndarray) -> np.ndarray:
    """Distance of each pixel to the edge of the mask, in pixels."""
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    return np.maximum(inside, outside)


@pytest.mark.parametrize("shape", [(300, 240), (1500, 1100), (260, 900)])
def test_picture_has_the_file_s_size_and_the_contour_lies_on_the_mask(
    model_folder: Path, tmp_path: Path, shape: tuple[int, int]
) -> None:
    rows, columns = shape
    box = (rows // 10, columns // 8, rows // 2, 2 * columns // 3)
    prediction = Predictor.load(model_folder).predict(radiograph(rows, columns, box))
    assert prediction.mask.any()
    with OutputFolder(tmp_path, ["png"]) as folder:
        folder.write(prediction)

    picture = cv2.imread(str(tmp_path / "overlays" / "made.png"))
    assert picture.shape == (rows, columns, 3)
    upper = np.zeros(shape, dtype=bool)
    upper[: int(rows * 0.55)] = True
    contour = (picture == np.array(CONTOUR, dtype=np.uint8)).all(axis=2) & upper
    distance = boundary_distance(prediction.mask)
    width = max(1, round(max(shape) / 500))
    assert contour.any()
    assert distance[contour].max() <= width + 1
    edge = (distance <= 1) & prediction.mask & upper
    assert contour[edge].mean() > 0.95


def test_inside_is_tinted_and_outside_is_the_radiograph(model_folder: Path) -> None:
    picture = radiograph(600, 600, (60, 60, 300, 300))
    prediction = Predictor.load(model_folder).predict(picture)
    drawn = draw_overlay(prediction)
    far_inside, far_outside = drawn[180, 180], drawn[40:60, 400:500]
    assert far_inside[0] < far_inside[2]  # white lung, tinted to orange
    assert far_inside.min() > 150  # and still light
    grey = np.rint(picture.pixels[40:60, 400:500] * 255)
    assert (far_outside == grey[:, :, None]).all()


@pytest.mark.parametrize("shape", [(128, 128), (200, 140), (512, 512), (2500, 2048), (300, 1600)])
def test_text_stands_in_the_lower_part_and_does_not_leave_the_picture(
    model_folder: Path, shape: tuple[int, int]
) -> None:
    prediction = Predictor.load(model_folder).predict(radiograph(*shape, box=None, level=0.0))
    drawn = draw_overlay(prediction)
    letters = (drawn > 150).any(axis=2)
    found_rows, found_columns = np.nonzero(letters)
    assert letters.mean() > 0.003
    assert found_rows.min() > 0.3 * shape[0]
    assert found_rows.max() < shape[0] - 1
    assert found_columns.max() < shape[1] - 1
    assert found_columns.min() > 0


def test_caption_says_what_when_and_that_it_is_research_software(model_folder: Path) -> None:
    predictor = Predictor.load(model_folder)
    positive, negative = predictor.predict(radiograph()), predictor.predict(radiograph(box=None))
    assert caption_of(positive) == (
        f"Pneumothorax: probability {positive.probability:.2f}",
        ">= 0.50, operating point 'balanced'",
        "Research software, not a medical device.",
    )
    assert caption_of(negative)[0].startswith("No pneumothorax found: probability 0.")
    assert caption_of(negative)[1].startswith("< 0.50")
    spread = replace(positive, uncertainty=0.0523)
    assert caption_of(spread)[0] == f"{caption_of(positive)[0]}, spread of views 0.05"


def named(prediction: Prediction, source: str) -> Prediction:
    return replace(prediction, radiograph=replace(prediction.radiograph, source=source))


def test_equal_stems_get_files_of_their_own_and_refusals_get_none(
    model_folder: Path, tmp_path: Path
) -> None:
    prediction = Predictor.load(model_folder).predict(radiograph(100, 100, (10, 10, 40, 40)))
    sources = ["a/x.dcm", "b/x.dcm", "c/X.png", "z.zip#d/x.dcm", "a/1.2.840.7", "..", "../é ü.dcm"]
    with OutputFolder(tmp_path, ["png"]) as folder:
        for source in sources:
            folder.write(named(prediction, source))
        folder.write(Refusal("a/y.dcm", Status.REFUSED, "truncated", "m", "h"))
    written = sorted(path.name for path in (tmp_path / "overlays").iterdir())
    assert len(written) == len(sources)
    assert len({name.casefold() for name in written}) == len(sources)
    assert {"x.png", "1.2.840.7.png", "image.png", "é_ü.png"} <= set(written)
    assert not any("y" in name for name in written)


def test_names_do_not_depend_on_the_run(model_folder: Path, tmp_path: Path) -> None:
    prediction = Predictor.load(model_folder).predict(radiograph(100, 100, (10, 10, 40, 40)))
    listings = []
    for run in ("first", "second"):
        with OutputFolder(tmp_path / run, ["png"]) as folder:
            for source in ("a/x.dcm", "b/x.dcm"):
                folder.write(named(prediction, source))
        listings.append(sorted(p.name for p in (tmp_path / run / "overlays").iterdir()))
    assert listings[0] == listings[1]


@pytest.mark.parametrize(
    ("probability", "threshold", "shown"),
    [(0.2279, 0.2305, 3), (0.1, 0.5, 2), (0.5, 0.5, 2), (0.49999999, 0.5, 6), (0.9, 0.2, 2)],
)
def test_rounding_does_not_contradict_the_decision(
    probability: float, threshold: float, shown: int
) -> None:
    assert decimals_for(probability, threshold, least=2) == shown


def test_a_sign_in_a_file_s_name_is_part_of_it() -> None:
    assert stem_of("films/patient#1.png") == "patient#1"
    assert stem_of("a/b.zip#film.dcm") == "film"
    assert stem_of("a/b.tar.gz#c/1.2.840.7") == "1.2.840.7"
