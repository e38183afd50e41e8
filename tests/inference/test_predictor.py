"""The way of one radiograph through real ONNX files."""

import io
import math
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pleura import Predictor
from pleura.errors import ModelError, NotFoundError
from pleura.inference import RawPrediction, Stage, prepare, to_network_grid
from pleura.inference.manifest import Calibration, Manifest, MaskRule, Preprocessing
from pleura.inference.postprocess import calibrated_probability, sigmoid
from pleura.radiograph import Spacing, SpacingSource
from tiny_model import GAIN, OFFSET, SIZE, radiograph, weights, write_model

BOX = (60, 40, 120, 100)


def iou(mask: np.ndarray, box: tuple[int, int, int, int]) -> float:
    truth = np.zeros_like(mask)
    truth[box[0] : box[2], box[1] : box[3]] = True
    return float(np.count_nonzero(mask & truth) / np.count_nonzero(mask | truth))


def test_probability_is_what_one_reckons_by_hand(model_folder: Path) -> None:
    picture = radiograph()
    square = np.zeros((SIZE, SIZE), dtype=np.float64)
    width = round(240 * SIZE / 300)
    left = (SIZE - width) // 2
    resized = cv2.resize(picture.pixels, (width, SIZE), interpolation=cv2.INTER_AREA)
    square[:, left : left + width] = resized
    expected = 1.0 / (1.0 + math.exp(-(GAIN * square.mean() + OFFSET)))

    prediction = Predictor.load(model_folder).predict(picture)

    assert prediction.probability == pytest.approx(expected, abs=1e-5)
    assert prediction.present


@pytest.mark.parametrize(
    ("rows", "columns", "box"),
    [
        (300, 240, (60, 40, 120, 100)),
        (240, 300, (40, 200, 100, 280)),
        (1001, 333, (700, 30, 900, 300)),
        (64, 64, (10, 20, 40, 50)),
        (200, 900, (20, 700, 180, 880)),
    ],
)
def test_mask_lands_where_the_finding_is(
    model_folder: Path, rows: int, columns: int, box: tuple[int, int, int, int]
) -> None:
    prediction = Predictor.load(model_folder).predict(radiograph(rows, columns, box))

    assert prediction.mask.shape == prediction.probability_map.shape == (rows, columns)
    assert prediction.mask.dtype == np.bool_
    assert prediction.probability_map.dtype == np.float32
    assert iou(prediction.mask, box) > 0.8
    assert len(prediction.regions) == 1
    slack = 2.5 * max(rows, columns) / SIZE
    assert np.abs(np.subtract(prediction.regions[0].box, box)).max() <= slack
    assert prediction.area_px == prediction.regions[0].area_px


def test_below_the_operating_point_all_is_empty_and_the_segmenter_rests(
    model_folder: Path,
) -> None:
    prediction = Predictor.load(model_folder).predict(radiograph(box=None))

    assert not prediction.present
    assert not prediction.mask.any()
    assert not prediction.probability_map.any()
    assert not prediction.segmented
    assert prediction.regions == ()
    assert prediction.timings_ms[Stage.SEGMENT] == 0.0


def test_always_segment_gives_the_map_but_no_mask(model_folder: Path) -> None:
    faint = radiograph(box=(60, 40, 80, 60))  # bright, but too small for the finding
    prediction = Predictor.load(model_folder).predict(faint, always_segment=True)

    assert not prediction.present
    assert prediction.probability_map[60:80, 40:60].max() > 0.5
    assert not prediction.mask.any()
    assert prediction.segmented
    assert prediction.timings_ms[Stage.SEGMENT] > 0.0


def test_one_raw_prediction_serves_every_operating_point(model_folder: Path) -> None:
    predictor = Predictor.load(model_folder)
    faint = radiograph(box=(60, 40, 75, 55))
    raw = predictor.predict_raw(faint)

    balanced = predictor.decide(raw)
    sensitive = predictor.decide(raw, operating_point="sensitive")
    direct = predictor.predict(faint, operating_point="sensitive")

    assert not balanced.present
    assert sensitive.present
    assert sensitive.probability == balanced.probability == direct.probability
    assert np.array_equal(sensitive.mask, direct.mask)
    assert sensitive.mask.any()
    everything = predictor.decide(
        raw, operating_point="sensitive", mask_rule=MaskRule(threshold=0.0)
    )
    assert everything.mask.all()


def test_a_decision_that_needs_the_map_refuses_to_do_without(model_folder: Path) -> None:
    predictor = Predictor.load(model_folder)
    raw = predictor.predict_raw(radiograph(box=(60, 40, 75, 55)), segment_from=0.5)
    assert raw.network_map is None
    with pytest.raises(ValueError, match="segmenter was not run"):
        predictor.decide(raw, operating_point="sensitive")


def test_operating_point_of_the_load_decides_and_an_unknown_one_is_named(
    model_folder: Path,
) -> None:
    predictor = Predictor.load(model_folder, operating_point="sensitive")
    assert predictor.predict(radiograph(box=None)).operating_point.name == "sensitive"
    with pytest.raises(ModelError, match="no operating point 'fast'"):
        Predictor.load(model_folder, operating_point="fast")
    with pytest.raises(ModelError, match="no operating point 'fast'"):
        predictor.predict_many([], operating_point="fast")


def test_flip_averaging_equals_the_mean_of_two_runs(tmp_path: Path) -> None:
    plain = Predictor.load(write_model(tmp_path / "plain", lopsided=True))
    both = Predictor.load(write_model(tmp_path / "both", lopsided=True, flip_average=True))
    picture = radiograph(300, 300)
    mirrored = type(picture)(np.ascontiguousarray(picture.pixels[:, ::-1]))

    there, back = plain.predict_raw(picture), plain.predict_raw(mirrored)
    averaged = both.predict_raw(picture)

    assert there.logit != pytest.approx(back.logit, abs=0.1)
    assert averaged.logit == pytest.approx((there.logit + back.logit) / 2, abs=1e-4)
    assert there.network_map is not None
    assert back.network_map is not None
    expected = (there.network_map + back.network_map[:, ::-1]) / 2
    assert averaged.network_map == pytest.approx(expected, abs=1e-6)
    assert not np.allclose(there.network_map, expected, atol=1e-3)


def test_the_mirror_image_is_judged_from_the_stated_logit_on(tmp_path: Path) -> None:
    picture = radiograph(300, 300)
    plain = Predictor.load(write_model(tmp_path / "plain", lopsided=True))
    both = Predictor.load(write_model(tmp_path / "both", lopsided=True, flip_average=True))
    alone, averaged = plain.predict_raw(picture), both.predict_raw(picture)

    def judged_from(logit: float) -> RawPrediction:
        folder = tmp_path / str(logit)
        write_model(folder, lopsided=True, flip_average=True, mirror_from=logit)
        return Predictor.load(folder).predict_raw(picture)

    clear, doubtful = judged_from(alone.logit + 1e-3), judged_from(alone.logit - 1e-3)
    assert len(clear.view_logits) == 1
    assert clear.uncertainty is None
    assert clear.logit == pytest.approx(alone.logit, abs=1e-6)
    assert clear.network_map == pytest.approx(alone.network_map, abs=1e-6)
    assert doubtful.view_logits == pytest.approx(averaged.view_logits, abs=1e-4)
    assert doubtful.uncertainty == pytest.approx(averaged.uncertainty, abs=1e-5)
    assert doubtful.network_map == pytest.approx(averaged.network_map, abs=1e-6)


def test_a_model_without_a_mirror_image_cannot_say_where_it_begins(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="belongs to a model with flip_average"):
        write_model(tmp_path / "m", mirror_from=0.0)


def test_uncertainty_is_the_spread_of_the_calibrated_views(tmp_path: Path) -> None:
    calibration = Calibration(method="platt", slope=0.5, intercept=-1.0)
    folder = write_model(tmp_path / "m", lopsided=True, flip_average=True, calibration=calibration)
    picture = radiograph(SIZE, SIZE, (10, 8, 26, 20))  # on the network's own grid
    there, back = (
        1.0
        / (
            1.0
            + math.exp(
                -(0.5 * (GAIN * float((weights(lopsided=True) * view).mean()) + OFFSET) - 1.0)
            )
        )
        for view in (picture.pixels, picture.pixels[:, ::-1])
    )
    assert abs(there - back) > 0.1

    predictor = Predictor.load(folder)
    raw = predictor.predict_raw(picture)

    assert raw.uncertainty == pytest.approx(abs(there - back) / 2, abs=1e-5)
    assert predictor.decide(raw).uncertainty == raw.uncertainty
    assert predictor.predict(picture).uncertainty == raw.uncertainty


def test_views_that_agree_have_no_spread_and_a_single_view_says_nothing_of_it(
    model_folder: Path, tmp_path: Path
) -> None:
    both = Predictor.load(write_model(tmp_path / "both", flip_average=True))
    assert both.predict(radiograph()).uncertainty == pytest.approx(0.0, abs=1e-6)
    single = Predictor.load(model_folder)
    assert single.predict(radiograph()).uncertainty is None
    assert single.predict_raw(radiograph()).uncertainty is None


def test_two_runs_give_the_same_bits(model_folder: Path) -> None:
    picture = radiograph()
    first = Predictor.load(model_folder, threads=1).predict(picture)
    predictor = Predictor.load(model_folder, threads=2)
    for other in (predictor.predict(picture), predictor.predict(picture)):
        assert other.probability == first.probability
        assert np.array_equal(other.probability_map, first.probability_map)


def test_threads_can_be_set_and_have_a_bounded_default(model_folder: Path) -> None:
    before = threading.active_count()
    assert Predictor.load(model_folder, threads=3).threads == 3
    assert 1 <= Predictor.load(model_folder).threads <= 4
    assert threading.active_count() == before
    with pytest.raises(ValueError, match="at least 1"):
        Predictor.load(model_folder, threads=0)


def test_calibration_stands_between_logit_and_probability(tmp_path: Path) -> None:
    calibration = Calibration(method="platt", slope=0.5, intercept=-1.0)
    predictor = Predictor.load(write_model(tmp_path / "m", calibration=calibration))
    raw = predictor.predict_raw(radiograph())
    assert raw.probability == pytest.approx(1 / (1 + math.exp(-(0.5 * raw.logit - 1.0))))


@given(st.floats(-1e6, 1e6))
def test_sigmoid_is_stable_and_agrees_with_the_scalar_one(x: float) -> None:
    value = float(sigmoid(np.array([x], dtype=np.float32))[0])
    expected = 1 / (1 + math.exp(-x)) if x > -700 else 0.0
    assert value == pytest.approx(expected, abs=1e-6)
    assert calibrated_probability(x, Calibration()) == pytest.approx(expected, abs=1e-12)


def test_small_regions_go_and_the_largest_stays(tmp_path: Path) -> None:
    pixels = radiograph(300, 300, (50, 50, 120, 120)).pixels.copy()
    pixels[200:215, 200:215] = 1.0
    picture = type(radiograph())(pixels)
    keep_all = Predictor.load(write_model(tmp_path / "all")).predict(picture)
    rule = MaskRule(min_area_fraction=0.02)
    keep_large = Predictor.load(write_model(tmp_path / "large", mask_rule=rule)).predict(picture)
    rule = MaskRule(min_area_fraction=0.9)
    keep_one = Predictor.load(write_model(tmp_path / "one", mask_rule=rule)).predict(picture)

    assert len(keep_all.regions) == 2
    assert len(keep_large.regions) == len(keep_one.regions) == 1
    assert keep_one.regions[0] == keep_large.regions[0] == keep_all.regions[0]


def test_a_finding_without_a_place_says_so(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", mask_rule=MaskRule(threshold=1.0))
    prediction = Predictor.load(folder).predict(radiograph(level=0.5))
    assert prediction.present
    assert not prediction.mask.any()
    assert [w.code for w in prediction.quality.warnings] == ["finding_without_mask"]


def test_a_mask_without_a_finding_is_not_drawn_but_said(model_folder: Path) -> None:
    faint = radiograph(box=(60, 40, 80, 60))  # bright, but too small for the finding
    predictor = Predictor.load(model_folder)
    prediction = predictor.predict(faint, always_segment=True)
    assert not prediction.present
    assert not prediction.mask.any()
    assert [w.code for w in prediction.quality.warnings] == ["mask_without_finding"]
    assert predictor.predict(faint).quality.warnings == ()  # nobody looked
    unsure = radiograph(box=None, level=0.02)
    assert predictor.predict(unsure, always_segment=True).quality.warnings == ()


def test_a_model_may_ask_for_the_segmenter_on_every_image(model_folder: Path) -> None:
    manifest = Manifest.read(model_folder).model_copy(update={"always_segment": True})
    manifest.write(model_folder)
    prediction = Predictor.load(model_folder).predict(radiograph(box=(60, 40, 80, 60)))
    assert prediction.segmented
    assert [w.code for w in prediction.quality.warnings] == ["mask_without_finding"]


def test_area_in_square_millimetres(model_folder: Path) -> None:
    picture = radiograph()
    spacing = Spacing(0.2, 0.1, SpacingSource.PIXEL_SPACING)
    measured = type(picture)(picture.pixels, spacing=spacing)
    prediction = Predictor.load(model_folder).predict(measured)
    assert prediction.area_mm2 == pytest.approx(prediction.area_px * 0.02)


def test_stages_are_timed_and_sum_up(model_folder: Path) -> None:
    timings = Predictor.load(model_folder).predict(radiograph()).timings_ms
    assert list(timings) == [stage.value for stage in Stage]
    assert timings["total"] == pytest.approx(sum(timings.values()) - timings["total"])
    assert all(timings[name] > 0 for name in ("preprocess", "classify", "segment", "postprocess"))
    with pytest.raises(TypeError):
        timings["total"] = 0.0  # type: ignore[index]


def test_path_bytes_and_file_object_give_one_result(model_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    grey = np.rint(radiograph().pixels * 255).astype(np.uint8)
    assert cv2.imwrite(str(path), grey)
    predictor = Predictor.load(model_folder)
    by_path = predictor.predict(path)
    sources = (str(path), path.read_bytes(), io.BytesIO(path.read_bytes()))
    for other in map(predictor.predict, sources):
        assert other.probability == by_path.probability
        assert np.array_equal(other.mask, by_path.mask)
    assert by_path.timings_ms["decode"] > 0.0
    with pytest.raises(NotFoundError):
        predictor.predict(tmp_path / "missing.dcm")


@settings(max_examples=30, deadline=None)
@given(st.integers(20, 200), st.integers(20, 200), st.integers(16, 96), st.floats(0, 1))
def test_training_and_inference_see_the_same_grid(
    rows: int, columns: int, size: int, pad_value: float
) -> None:
    pixels = np.random.default_rng(rows).random((rows, columns), dtype=np.float32)
    preprocessing = Preprocessing(size=size, mean=0.4, std=0.25, pad_value=pad_value)
    image, letterbox = prepare(type(radiograph())(pixels), preprocessing)
    assert image.shape == (1, 1, size, size)
    assert image.dtype == np.float32
    expected = (to_network_grid(pixels, preprocessing) - 0.4) / 0.25
    assert image[0, 0] == pytest.approx(expected, abs=1e-5)
    assert (letterbox.rows, letterbox.columns, letterbox.size) == (rows, columns, size)


def test_the_lopsided_weights_are_lopsided() -> None:
    assert weights(lopsided=True)[0, 0] > weights(lopsided=True)[0, -1]
