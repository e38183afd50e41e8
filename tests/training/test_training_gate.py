"""Pictures for the input gate, its network, and its way into a model folder."""

import numpy as np
import pytest
import torch

from pleura.errors import ModelError
from pleura.export.gate import copy_gate, write_gate
from pleura.inference import Predictor
from pleura.inference.manifest import Manifest
from pleura.quality import GateSettings, Kind, Limit, PictureGate, Strictness
from pleura.quality.spec import FAULTS
from pleura.training.gate import (
    SIDE,
    GateNetwork,
    GatePictures,
    as_input,
    batches,
    loss_of,
    scores,
    train_gate,
)
from pleura.training.pictures import centred, cut_off, photographed, varied
from tiny_model import radiograph, write_model

LIMITS = dict.fromkeys(FAULTS, Limit(warn=0.5, refuse=0.9))


@pytest.fixture(scope="module")
def pictures():
    """Frontal ones are dark with a bright bar below; the others are bright noise."""
    rng = np.random.default_rng(1)
    frontal = rng.integers(0, 60, (12, 96, 96), dtype=np.uint8)
    frontal[:, 70:] += 150
    others = rng.integers(100, 255, (6, 96, 96), dtype=np.uint8)
    kinds = (Kind.LATERAL, Kind.OTHER_PART, Kind.NO_RADIOGRAPH) * 2
    return GatePictures(frontal, others, kinds)


@pytest.mark.parametrize("make", [cut_off, photographed, lambda p, r: varied(p, r, (0.8, 1.3))])
def test_made_pictures_are_pictures_and_the_same_for_the_same_seed(pictures, make):
    for seed in range(20):
        once, twice = (make(pictures.frontal[0], np.random.default_rng(seed)) for _ in range(2))
        assert (once.shape, once.dtype) == ((96, 96), np.uint8)
        np.testing.assert_array_equal(once, twice)
        assert not np.array_equal(once, pictures.frontal[0])


def test_what_is_cut_off_shows_less_than_two_thirds():
    """A picture of its own column and row numbers says which part of it is left."""
    columns = np.tile(np.arange(96, dtype=np.uint8) + 100, (96, 1))
    rows = columns.T.copy()
    for seed in range(40):
        left = [cut_off(p, np.random.default_rng(seed)) for p in (columns, rows)]
        seen = [len(np.unique(p[p >= 95])) / 96 for p in left]
        assert min(seen) < 0.67


def test_a_part_in_the_middle():
    part = np.full((10, 4), 9, np.uint8)
    as_it_is = centred(part, 20, enlarge=False)
    assert [np.flatnonzero(as_it_is.any(axis)).tolist() for axis in (1, 0)] == [
        list(range(5, 15)),
        list(range(8, 12)),
    ]
    assert np.flatnonzero(centred(part, 20, enlarge=True).any(0)).tolist() == list(range(6, 14))


def test_batches_hold_every_kind_and_know_what_they_did(pictures):
    batch = next(batches(pictures, 300, np.random.default_rng(0)))
    assert batch.image.shape == (300, 1, SIDE, SIDE)
    assert set(batch.kind.tolist()) == set(range(len(Kind)))
    frontal = batch.kind == 0
    assert (batch.turn[~frontal] == -1).all()
    assert set(batch.turn[frontal].tolist()) == {0, 1, 2, 3}
    real = torch.isin(batch.kind, torch.tensor([1, 2, 3]))
    assert (batch.inverted[real] == -1).all()
    assert set(batch.inverted[~real].tolist()) == {0, 1}
    # The bright bar lies below, and goes round to the left: right, above, left.
    bright = batch.inverted == 0
    for turn, side in enumerate((np.s_[-20:, 40:88], np.s_[40:88, -20:], np.s_[:20, 40:88])):
        chosen = batch.image[frontal & bright & (batch.turn == turn), 0]
        assert chosen[(slice(None), *side)].mean() > chosen[:, 54:74, 54:74].mean()


def test_without_others_of_a_kind_that_kind_is_not_drawn(pictures):
    alone = GatePictures(pictures.frontal, pictures.others[:0], ())
    batch = next(batches(alone, 100, np.random.default_rng(0)))
    drawn = {list(Kind)[i] for i in batch.kind.tolist()}
    assert drawn == {Kind.FRONTAL, Kind.CUT_OFF, Kind.PHOTOGRAPHED}


def test_the_loss_counts_only_what_is_known(pictures):
    batch = next(batches(pictures, 40, np.random.default_rng(0)))
    logits = [torch.zeros(40, n, requires_grad=True) for n in (6, 4, 1)]
    loss_of(tuple(logits), batch).backward()
    turned, inverted = logits[1].grad.abs().sum(1) > 0, logits[2].grad[:, 0] != 0
    assert torch.equal(turned, batch.turn != -1)
    assert torch.equal(inverted, batch.inverted != -1)


def test_a_few_steps_tell_noise_from_the_rest_and_the_file_says_the_same(pictures, tmp_path):
    network = train_gate(pictures, None, steps=12, batch_size=24, learning_rate=1e-3)
    folder = write_model(tmp_path / "model")
    manifest = write_gate(network, folder, LIMITS, "tests", {"n": 18})
    assert (manifest.gate.fitted_on, manifest.gate.measured) == ("tests", {"n": 18})
    gate = PictureGate(folder, manifest.gate)
    shown = np.stack([pictures.frontal[0], pictures.others[0]])
    for picture, said in zip(shown, scores(network, shown), strict=True):
        from_file = gate.look(picture.astype(np.float32) / 255)
        assert list(from_file.kinds.values()) == pytest.approx(list(said.kinds.values()), abs=0.02)
        assert from_file.turns == pytest.approx(said.turns, abs=0.02)
        assert from_file.inverted == pytest.approx(said.inverted, abs=0.02)
    predictor = Predictor.load(folder, threads=1, gate=GateSettings(Strictness.WARN))
    assert predictor.predict(radiograph()).quality.accepted


def test_one_model_s_gate_in_another_model(tmp_path):
    first, second = write_model(tmp_path / "first"), write_model(tmp_path / "second")
    with pytest.raises(ModelError, match="has no input gate"):
        copy_gate(first, second)
    gate = write_gate(GateNetwork().eval(), first, LIMITS).gate
    assert copy_gate(first, second).gate == gate
    Predictor.load(second, threads=1)
    (first / "gate.onnx").write_bytes(b"damaged")
    with pytest.raises(ModelError, match="SHA-256"):
        copy_gate(first, second)
    assert Manifest.read(second).gate == gate


def test_the_network_s_input():
    tensor = as_input(np.full((2, 200, 200), 255, np.uint8))
    assert tensor.shape == (2, 1, SIDE, SIDE)
    assert tensor.mean().item() == pytest.approx((1 - 0.449) / 0.226, rel=1e-5)
