import numpy as np
import pytest

from pleura.errors import DataError, NotFoundError
from pleura.training.examples import load_examples
from tiny_run import IMAGES, config, write_data

# Images 2, 4, 6 are negatives of a source that gave no positive.
SOURCES = ["reports" if number in (2, 4, 6) else "reader" for number in range(IMAGES)]


def _load(root, *overrides):
    return load_examples(config(root, root / "run", *overrides).data)


def test_the_validation_fold_is_held_out(data):
    loaded = _load(data, "data.validation_fold=1")
    folds = loaded.table["fold"].to_numpy()
    assert (folds[loaded.validation] == 1).all()
    assert not (folds[loaded.training] == 1).any()
    assert len(loaded.training) + len(loaded.validation) == IMAGES
    assert loaded.examples.labels.tolist() == [0.0, 1.0] * 6
    assert (loaded.examples.masks.max((1, 2)) > 0).tolist() == [False, True] * 6


def test_without_a_validation_fold_all_are_trained_on(data):
    loaded = _load(data, "data.validation_fold=null")
    assert loaded.training.tolist() == list(range(IMAGES))
    assert loaded.validation.size == 0


def test_only_labelled_images_of_the_training_split_are_read(tmp_path):
    splits = ["train"] * 8 + ["test", "test", "unlabelled", ""]
    labels = [None, 1] + [0, 1] * 5
    write_data(tmp_path, split=splits, label=labels)
    loaded = _load(tmp_path)
    assert list(loaded.table["image_id"]) == [f"image{number}" for number in range(1, 8)]


def test_a_mask_is_trusted_as_far_as_its_weight_says(tmp_path):
    weights = [float("nan"), 1.0, float("nan"), 0.9, 1.0, 0.6, 1.0, float("nan")] + [1.0] * 4
    write_data(tmp_path, mask_weight=weights)
    trusted = _load(tmp_path, "data.min_mask_weight=0.7").examples.mask_weights
    assert trusted[:8] == pytest.approx([1, 1, 1, 0.9, 1, 0, 1, 0])


def test_refused_images_are_listed_and_the_rest_keep_their_rows(tmp_path):
    write_data(tmp_path)
    (tmp_path / "image2.png").write_bytes(b"broken")
    loaded = _load(tmp_path)
    assert loaded.refused == {"image2": "not_an_image"}
    assert len(loaded.examples) == len(loaded.table) == IMAGES - 1
    assert loaded.examples.labels[2] == loaded.table["label"].iloc[2] == 1


def test_limit_takes_the_first_images(data):
    loaded = _load(data, "data.limit=6", "data.validation_fold=null")
    assert list(loaded.table["image_id"]) == [f"image{number}" for number in range(6)]


def test_phantoms_are_trained_on_and_never_judged(data):
    loaded = _load(data, "data.phantoms.share=0.2", "data.phantoms.count=2")
    examples = loaded.examples
    assert examples.synthetic.tolist() == [False] * IMAGES + [True, True]
    assert not examples.synthetic[loaded.validation].any()
    assert {IMAGES, IMAGES + 1} <= set(loaded.training.tolist())
    assert examples.labels[-2:].tolist() == [1.0, 0.0]
    assert examples.masks[-2].any()
    assert not examples.masks[-1].any()
    assert examples.images[-2:].max() > 180  # at the scale of the radiographs, not darker
    assert np.array_equal(examples.images[:IMAGES], _load(data).examples.images)


@pytest.mark.parametrize("fold", [7, -1])
def test_a_fold_that_holds_nothing(data, fold):
    with pytest.raises(DataError, match=f"fold {fold} leaves one side empty"):
        _load(data, f"data.validation_fold={fold}")


def test_a_fold_that_holds_everything(tmp_path):
    write_data(tmp_path, fold=[0] * IMAGES)
    with pytest.raises(DataError, match="fold 0 leaves one side empty"):
        _load(tmp_path)


def test_nothing_to_train_on(tmp_path):
    write_data(tmp_path, split=["test"] * IMAGES)
    with pytest.raises(DataError, match="no labelled image"):
        _load(tmp_path)


def test_a_missing_index(tmp_path):
    with pytest.raises(NotFoundError, match="There is no index"):
        _load(tmp_path)


def test_held_out_images_of_one_sided_sources_are_on_neither_side(tmp_path):
    """Fold 0 is images 0, 1, 6, 7; the label of image 6 comes from a source of negatives alone."""
    write_data(tmp_path, label_source=SOURCES)
    loaded = _load(tmp_path)
    assert loaded.examples.one_sided.nonzero()[0].tolist() == [2, 4, 6]
    assert loaded.validation.tolist() == [0, 1, 7]
    assert loaded.training.tolist() == [2, 3, 4, 5, 8, 9, 10, 11]


def test_a_fold_of_one_sided_sources_alone_cannot_be_validated_on(tmp_path):
    write_data(tmp_path, label_source=SOURCES, fold=[int(name != "reports") for name in SOURCES])
    with pytest.raises(DataError, match="fold 0 leaves one side empty"):
        _load(tmp_path)
