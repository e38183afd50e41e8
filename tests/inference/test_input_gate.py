"""The gate inside the predictor: who is let in, and where the mask lies on a turned picture."""

import numpy as np
import pytest

from pleura.errors import ModelError, PleuraError
from pleura.inference import Predictor
from pleura.inference.manifest import Manifest
from pleura.inference.prediction import Prediction, Refusal
from pleura.quality import GateSettings, Strictness
from pleura.radiograph import Radiograph
from tiny_gate import add_gate, picture
from tiny_model import write_model

CORRECTING = GateSettings(correct=True)


@pytest.fixture
def folder(tmp_path):
    return add_gate(write_model(tmp_path / "gated"))


def load(folder, gate=None):
    return Predictor.load(folder, threads=1, gate=gate or GateSettings())


def codes(prediction):
    return [notice.code for notice in prediction.quality.warnings]


def test_a_picture_that_is_let_in_is_judged_as_without_a_gate(folder, tmp_path):
    case = Radiograph(picture(box=True))
    gated = load(folder).predict(case)
    plain = load(write_model(tmp_path / "plain")).predict(case)
    assert gated.probability == plain.probability
    np.testing.assert_array_equal(gated.mask, plain.mask)
    assert codes(gated) == []


def test_a_lateral_view_is_refused_with_its_code_and_the_batch_goes_on(folder):
    lateral, frontal = Radiograph(picture(corner=1), source="a"), Radiograph(picture())
    with pytest.raises(PleuraError) as caught:
        load(folder).predict(lateral)
    assert caught.value.code == "picture_lateral"
    first, second = load(folder).predict_many([lateral, frontal])
    assert isinstance(first, Refusal)
    assert (first.code, first.status, first.input) == ("picture_lateral", "refused", "a")
    assert isinstance(second, Prediction)


def test_strictness(folder):
    lateral = Radiograph(picture(corner=1))
    warned = load(folder, GateSettings(Strictness.WARN)).predict(lateral)
    assert codes(warned) == ["picture_lateral"]
    assert codes(load(folder, GateSettings(Strictness.OFF)).predict(lateral)) == []


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_picture_is_refused_or_judged_upright_with_its_mask_on_the_file(folder, turns):
    upright = Radiograph(picture(box=True))
    turned = Radiograph(np.ascontiguousarray(np.rot90(upright.pixels, turns)))
    with pytest.raises(PleuraError) as caught:
        load(folder).predict(turned)
    assert caught.value.code == "picture_turned"
    expected = load(folder).predict(upright)
    corrected = load(folder, CORRECTING).predict(turned)
    assert expected.mask.any()
    assert corrected.probability == pytest.approx(expected.probability)
    np.testing.assert_array_equal(corrected.mask, np.rot90(expected.mask, turns))
    assert codes(corrected) == ["picture_turned_corrected"]
    np.testing.assert_array_equal(corrected.radiograph.pixels, turned.pixels)


def test_an_inverted_picture_is_refused_or_judged_with_its_tones_exchanged(folder):
    upright = Radiograph(picture(box=True))
    inverted = Radiograph(1 - upright.pixels)
    with pytest.raises(PleuraError) as caught:
        load(folder).predict(inverted)
    assert caught.value.code in ("picture_inverted", "picture_lateral")
    corner = inverted.pixels.copy()
    corner[:40, :40] = 0  # the tiny gate takes a bright corner for a lateral view
    corrected = load(folder, CORRECTING).predict(Radiograph(corner))
    assert "picture_inverted_corrected" in codes(corrected)
    assert corrected.probability == pytest.approx(
        load(folder).predict(upright).probability, abs=0.3
    )


def test_a_picture_that_is_not_square_keeps_its_mask_in_place(folder):
    """A film on its side: columns and rows are exchanged, and the letterbox is the file's own."""
    pixels = picture(box=True)[:, 40:]
    pixels[32:256, :32] = 0.1
    turned = Radiograph(np.ascontiguousarray(np.rot90(pixels, 2)))
    settings = GateSettings(Strictness.WARN, correct=True)
    corrected = load(folder, settings).predict(turned)
    assert codes(corrected) == ["picture_turned_corrected"]
    expected = load(folder, GateSettings(Strictness.OFF)).predict(Radiograph(pixels))
    assert corrected.mask.shape == turned.shape
    agreed = (corrected.mask == np.rot90(expected.mask, 2)).mean()
    assert agreed > 0.995


def test_a_damaged_gate_is_named(folder):
    (folder / "gate.onnx").write_bytes(b"damaged")
    with pytest.raises(ModelError, match="SHA-256"):
        load(folder)
    assert load(folder, GateSettings(Strictness.OFF)).manifest.gate is not None


def test_a_gate_that_is_another_network_is_named(folder):
    manifest = Manifest.read(folder)
    other = manifest.gate.model_copy(
        update={"file": manifest.segmenter.file, "sha256": manifest.segmenter.sha256}
    )
    manifest.model_copy(update={"gate": other}).write(folder)
    with pytest.raises(ModelError, match="must take 'image' and give"):
        load(folder)
