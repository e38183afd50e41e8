"""How far a radiograph's features lie from those of held-out ones."""

import numpy as np
import pytest

from pleura.errors import ModelError
from pleura.export.familiarity import distance, fit, write_familiarity
from pleura.quality import Familiarity


@pytest.fixture(scope="module")
def embeddings():
    """Two features that vary together, one that varies little, one that never does."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(400, 1))
    table = np.hstack([common, common + 0.1 * rng.normal(size=(400, 1)), np.zeros((400, 2))])
    table[:, 2] = 0.01 * rng.normal(size=400)
    return (table + 5).astype(np.float32)


def test_the_mean_is_near_and_what_breaks_a_rule_is_far(embeddings):
    table = fit(embeddings)
    mean = embeddings.mean(0, keepdims=True)
    along, across = mean.copy(), mean.copy()
    along[0, :2] += 2
    across[0, :2] += [1, -1]
    near, usual, far = distance(np.concatenate([mean, along, across]), table)
    assert near == pytest.approx(0, abs=1e-3)
    assert near < usual < far
    assert far > 3 * usual


def test_a_hundredth_lies_beyond_one_and_the_file_says_the_same(embeddings, tmp_path):
    groups = [f"patient {number // 2}" for number in range(400)]
    spec = write_familiarity(embeddings, groups, tmp_path, "400 made ones")
    familiarity = Familiarity(tmp_path, spec)
    said = np.array([familiarity.unfamiliarity(row) for row in embeddings])
    assert 0 < (said >= 1).mean() <= 0.02
    np.testing.assert_allclose(said, distance(embeddings, fit(embeddings)) / spec.limit, rtol=1e-5)
    assert spec.fitted_on == "400 made ones; 1% of them, cross-validated by patient, beyond 1"
    assert familiarity.unfamiliarity(embeddings[0] + 3 * np.array([1, -1, 0, 0], "f4")) > 1


def test_fewer_images_than_features(tmp_path):
    few = np.random.default_rng(1).normal(size=(6, 20)).astype(np.float32)
    spec = write_familiarity(few, list("aabbcc"), tmp_path, "six")
    assert np.isfinite(Familiarity(tmp_path, spec).unfamiliarity(few[0]))


def test_what_does_not_fit_is_named(embeddings, tmp_path):
    spec = write_familiarity(embeddings, [str(n) for n in range(400)], tmp_path, "")
    familiarity = Familiarity(tmp_path, spec)
    for wrong in (np.zeros(3, np.float32), np.full(4, np.nan, np.float32)):
        with pytest.raises(ModelError, match="do not fit"):
            familiarity.unfamiliarity(wrong)
    with pytest.raises(ValueError, match="plain name"):
        type(spec)(file="../x", sha256=spec.sha256, limit=1)
    np.save(tmp_path / spec.file, np.zeros((3, 3), np.float32))
    with pytest.raises(ModelError, match="SHA-256"):
        Familiarity(tmp_path, spec)
    (tmp_path / spec.file).unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        Familiarity(tmp_path, spec)
