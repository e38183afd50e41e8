import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pleura.data.augment import NO_AUGMENTATION, Augmentation, augment

SIDE = 96
GEOMETRY = {"rotation_degrees", "scale", "shift_fraction", "crop_fraction", "flip"}


def _only(**changes):
    return NO_AUGMENTATION.model_copy(update=changes)


def _blob(row, column, radius=6):
    rows, columns = np.mgrid[:SIDE, :SIDE]
    inside = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    return np.where(inside, 255, 0).astype(np.uint8)


def _texture(seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 3))


def _centroid(picture):
    weights = picture.astype(np.float64)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.array([(rows * weights).sum(), (columns * weights).sum()]) / weights.sum()


@given(seed=st.integers(0, 2**63 - 1), row=st.floats(34, 62), column=st.floats(34, 62))
@settings(max_examples=40, deadline=None)
def test_the_mask_moves_with_the_image(seed, row, column):
    blob = _blob(row, column)
    geometry = Augmentation().model_dump(include=GEOMETRY)
    image, mask = augment(blob, blob, _only(**geometry), np.random.default_rng(seed))
    assert mask.max() > 0
    assert np.abs(_centroid(image) - _centroid(mask)).max() < 0.05
    np.testing.assert_allclose(image, mask / 255, atol=0.01)


@given(seed=st.integers(0, 2**63 - 1))
@settings(max_examples=20, deadline=None)
def test_tone_and_noise_leave_the_mask_alone(seed):
    changes = Augmentation().model_dump(exclude=GEOMETRY)
    image, mask = augment(_texture(), _blob(40, 50), _only(**changes), np.random.default_rng(seed))
    assert np.array_equal(mask, _blob(40, 50))
    assert not np.allclose(image, _texture() / 255)


def test_no_augmentation_is_the_identity():
    texture, blob = _texture(), _blob(30, 60)
    for seed in range(20):
        image, mask = augment(texture, blob, NO_AUGMENTATION, np.random.default_rng(seed))
        np.testing.assert_allclose(image, texture.astype(np.float32) / 255, atol=1e-7)
        assert np.array_equal(mask, blob)


def test_a_flip_mirrors_both():
    texture, blob = _texture(), _blob(30, 70)
    image, mask = augment(texture, blob, _only(flip=1), np.random.default_rng(0))
    np.testing.assert_allclose(image, texture[:, ::-1] / 255, atol=1e-6)
    assert np.array_equal(mask, blob[:, ::-1])


def test_half_of_the_images_are_flipped():
    texture = _texture()
    mirrored = [
        np.allclose(
            augment(texture, texture, _only(flip=0.5), np.random.default_rng(seed))[0],
            texture[:, ::-1] / 255,
            atol=1e-6,
        )
        for seed in range(200)
    ]
    assert 70 <= sum(mirrored) <= 130


@given(seed=st.integers(0, 2**63 - 1))
@settings(max_examples=20, deadline=None)
def test_types_ranges_and_reproducibility(seed):
    texture, blob = _texture(1), _blob(50, 50)
    kept = texture.copy(), blob.copy()
    first = augment(texture, blob, Augmentation(), np.random.default_rng(seed))
    second = augment(texture, blob, Augmentation(), np.random.default_rng(seed))
    image, mask = first
    assert image.dtype == np.float32
    assert mask.dtype == np.uint8
    assert image.shape == mask.shape == (SIDE, SIDE)
    assert image.min() >= 0
    assert image.max() <= 1
    assert np.array_equal(image, second[0])
    assert np.array_equal(mask, second[1])
    assert np.array_equal(texture, kept[0])
    assert np.array_equal(blob, kept[1])


def test_another_seed_gives_another_version():
    texture = _texture()
    versions = {
        augment(texture, texture, Augmentation(), np.random.default_rng(seed))[0].tobytes()
        for seed in range(10)
    }
    assert len(versions) == 10


def _over_seeds(changes, measure, picture=None):
    picture = _blob(47.5, 47.5, 12) if picture is None else picture
    return np.array(
        [
            measure(augment(picture, picture, _only(**changes), np.random.default_rng(seed))[0])
            for seed in range(150)
        ]
    )


def test_magnification_stays_in_its_range_and_uses_it():
    area = _blob(47.5, 47.5, 12).sum() / 255
    zooms = _over_seeds({"scale": (0.8, 1.25)}, lambda image: np.sqrt(image.sum() / area))
    assert zooms.min() > 0.79
    assert zooms.max() < 1.26
    assert zooms.max() - zooms.min() > 0.35


def test_shift_stays_in_its_range_and_uses_it():
    shifts = _over_seeds({"shift_fraction": 0.1}, lambda image: (_centroid(image) - 47.5) / SIDE)
    assert np.abs(shifts).max() <= 0.1001
    assert (shifts.max(0) > 0.08).all()
    assert (shifts.min(0) < -0.08).all()


def test_rotation_turns_about_the_centre_and_stays_in_its_range():
    def angle(image):
        row, column = _centroid(image) - 47.5
        return np.degrees(np.arctan2(row, column))

    angles = _over_seeds({"rotation_degrees": 15.0}, angle, _blob(47.5, 77.5, 5))
    assert np.abs(angles).max() < 15.3
    assert angles.max() > 12
    assert angles.min() < -12


def test_a_crop_cuts_each_border_by_at_most_its_share():
    """A frame of one pixel at 10 % from the border is never cut off by a crop of 8 %."""
    frame = np.zeros((SIDE, SIDE), np.uint8)
    cv2.rectangle(frame, (10, 10), (SIDE - 11, SIDE - 11), 255, 2)

    def outermost(image):
        rows, columns = np.flatnonzero(image.max(1) > 0.3), np.flatnonzero(image.max(0) > 0.3)
        return np.array([rows[0], columns[0], SIDE - 1 - rows[-1], SIDE - 1 - columns[-1]])

    margins = _over_seeds({"crop_fraction": 0.08}, outermost, frame)
    assert margins.min() >= 0
    assert margins.max() <= 10  # a crop enlarges: what is left only moves outwards
    assert (margins.min(0) <= 4).all()
    assert not np.array_equal(margins[:, 0], margins[:, 2])


def test_gamma_keeps_black_and_white_and_moves_the_middle_both_ways():
    ramp = np.tile(np.linspace(0, 255, SIDE).round().astype(np.uint8), (SIDE, 1))
    exponents = _over_seeds(
        {"gamma": (0.5, 2.0)}, lambda image: np.log(image[0, 48]) / np.log(ramp[0, 48] / 255), ramp
    )
    ends = _over_seeds({"gamma": (0.5, 2.0)}, lambda image: image[0, [0, -1]], ramp)
    assert exponents.min() >= 0.499
    assert exponents.max() <= 2.001
    assert 0.4 < (exponents < 1).mean() < 0.6  # drawn log-uniformly
    assert np.array_equal(np.unique(ends), [0, 1])


def test_contrast_and_brightness_stay_in_their_ranges():
    grey = np.full((SIDE, SIDE), 102, np.uint8)  # 0.4
    brightness = _over_seeds({"brightness": 0.1}, lambda image: image[0, 0] - 0.4, grey)
    assert np.abs(brightness).max() <= 0.1001
    assert brightness.min() < -0.08
    assert brightness.max() > 0.08
    contrast = _over_seeds({"contrast": (0.5, 1.5)}, lambda image: (0.5 - image[0, 0]) / 0.1, grey)
    assert contrast.min() >= 0.499
    assert contrast.max() <= 1.501


def test_noise_is_centred_and_not_stronger_than_asked():
    grey = np.full((SIDE, SIDE), 128, np.uint8)
    spread = _over_seeds({"noise": 0.05}, np.std, grey)
    means = _over_seeds({"noise": 0.05}, np.mean, grey)
    assert spread.max() < 0.052
    assert spread.max() > 0.045
    np.testing.assert_allclose(means, 128 / 255, atol=2e-3)


def _sharpness(image):
    return float(np.abs(np.diff(image, axis=1)).mean())


def test_blur_takes_sharpness_away_and_jpeg_leaves_its_traces():
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    sharp = _sharpness(noise / 255)
    blurred = _over_seeds({"blur_sigma": 2.0}, _sharpness, noise)
    assert blurred.max() <= sharp + 1e-6
    assert blurred.min() < 0.3 * sharp
    best, _ = augment(noise, noise, _only(jpeg=1, jpeg_quality=(95, 95)), np.random.default_rng(0))
    worst, _ = augment(noise, noise, _only(jpeg=1, jpeg_quality=(30, 30)), np.random.default_rng(0))
    errors = [np.abs(image - noise / 255).mean() for image in (best, worst)]
    assert 0 < errors[0] < errors[1]


@pytest.mark.parametrize(
    "setting",
    [
        {"scale": (1.2, 0.9)},
        {"scale": (0, 1)},
        {"gamma": (0, 1)},
        {"flip": 1.5},
        {"jpeg_quality": (0, 95)},
        {"jpeg_quality": (90, 50)},
        {"rotation_degrees": -1},
        {"crop_fraction": 0.3},
        {"hue": 0.1},
    ],
)
def test_ranges_that_make_no_sense_are_refused(setting):
    with pytest.raises(ValidationError, match=next(iter(setting))):
        Augmentation(**setting)
