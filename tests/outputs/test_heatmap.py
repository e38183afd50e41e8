"""The heat map: hot where the map is high, the radiograph where it is zero, a scale beside."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pleura import Prediction, Predictor
from pleura.outputs import OutputFolder, draw_heatmap
from pleura.outputs.heatmap import MOST_OPACITY, colour_scale
from tiny_model import radiograph

SHAPE = (600, 600)
GREY = 100


@pytest.fixture
def ramp(model_folder: Path) -> Prediction:
    """An even grey whose map is 0 in the left half and rises from 0 to 1 in the right half."""
    prediction = Predictor.load(model_folder).predict(radiograph(*SHAPE), always_segment=True)
    rising = np.concatenate([np.zeros(300), np.linspace(0.0, 1.0, 300)]).astype(np.float32)
    pixels = np.full(SHAPE, GREY / 255, dtype=np.float32)
    return replace(
        prediction,
        radiograph=replace(prediction.radiograph, pixels=pixels),
        probability_map=np.broadcast_to(rising, SHAPE),
    )


def test_colour_grows_with_the_map_and_zero_leaves_the_radiograph(ramp: Prediction) -> None:
    row = draw_heatmap(ramp)[100].astype(int)
    assert row.shape == (600, 3)
    assert (row[:300] == GREY).all()
    steps = np.rint(np.linspace(0.0, 1.0, 300) * 255).astype(np.uint8)
    colours = cv2.applyColorMap(steps[:, None], cv2.COLORMAP_PLASMA)[:, 0]
    cover = MOST_OPACITY * steps[:, None] / 255
    assert np.abs(row[300:] - (GREY * (1 - cover) + colours * cover)).max() <= 1
    distance = np.abs(row - GREY).sum(axis=1)
    assert distance[599] > 150  # hot
    assert distance[330] < 25  # hardly seen


def test_what_lies_below_stays_visible_where_the_network_is_sure(ramp: Prediction) -> None:
    pixels = np.zeros(SHAPE, dtype=np.float32)
    pixels[50:100] = 1.0
    sure = replace(
        ramp,
        radiograph=replace(ramp.radiograph, pixels=pixels),
        probability_map=np.ones(SHAPE, dtype=np.float32),
    )
    drawn = draw_heatmap(sure).astype(int)
    assert (drawn[75, 300] - drawn[25, 300]).min() >= round(255 * (1 - MOST_OPACITY)) - 1


def test_the_colour_lies_where_the_air_is(model_folder: Path) -> None:
    picture = radiograph(600, 600, (60, 60, 300, 300))
    drawn = draw_heatmap(Predictor.load(model_folder).predict(picture)).astype(int)
    colourful = np.ptp(drawn, axis=2)
    assert (colourful[100:260, 100:260] > 50).all()
    assert (colourful[:300, 340:] == 0).all()


def test_below_the_operating_point_the_map_is_drawn_and_without_a_map_nothing(
    model_folder: Path,
) -> None:
    predictor = Predictor.load(model_folder)
    faint = radiograph(box=(60, 40, 80, 60))
    prediction = predictor.predict(faint, always_segment=True)
    assert not prediction.present
    assert np.ptp(draw_heatmap(prediction)[70, 50].astype(int)) > 50
    with pytest.raises(ValueError, match="always_segment"):
        draw_heatmap(predictor.predict(faint))


@pytest.mark.parametrize("shape", [(128, 128), (200, 140), (600, 600), (2500, 2048), (300, 1600)])
def test_the_scale_runs_from_0_to_1_and_does_not_leave_the_picture(
    ramp: Prediction, shape: tuple[int, int]
) -> None:
    black = replace(
        ramp,
        uncertainty=0.05,
        radiograph=replace(ramp.radiograph, pixels=np.zeros(shape, dtype=np.float32)),
        probability_map=np.zeros(shape, dtype=np.float32),
    )
    drawn = draw_heatmap(black).astype(int)
    hottest = (np.abs(drawn - colour_scale()[-1].astype(int)).max(axis=2) <= 3).nonzero()
    assert hottest[0].size
    row, right = int(np.median(hottest[0])), int(hottest[1].max())
    purple = (np.abs(drawn[row] - colour_scale()[128].astype(int)).max(axis=1) <= 12).nonzero()[0]
    assert 0 < purple.min() < right < shape[1] - 1  # rises to the right
    assert row > 0.25 * shape[0]
    assert drawn[: int(0.25 * shape[0])].max() == 0
    assert drawn[-1].max() == 0
    assert (drawn[row, right + 2 :] > 100).any()  # the 1 behind it


def test_names_are_those_of_the_overlays(ramp: Prediction, tmp_path: Path) -> None:
    with OutputFolder(tmp_path, ["png", "heatmap"]) as folder:
        for source in ("a/x.dcm", "b/x.dcm", "c/X.png"):
            folder.write(replace(ramp, radiograph=replace(ramp.radiograph, source=source)))
    names = [
        sorted(path.name for path in (tmp_path / kind).iterdir())
        for kind in ("overlays", "heatmaps")
    ]
    assert len(names[0]) == 3
    assert names[0] == names[1]
