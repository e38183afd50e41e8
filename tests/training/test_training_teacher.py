"""Self-training: what a teacher says, kept, and drawn at its own share."""

import numpy as np
import pytest

from pleura.errors import DataError, ModelError, RefusedInputError
from pleura.inference import Predictor
from pleura.training.examples import as_radiograph, load_examples
from pleura.training.run import train
from pleura.training.teacher import MAP_SIDE, Taught, teach
from tiny_gate import add_gate
from tiny_model import write_model
from tiny_run import IMAGES, SIDE, config, write_data

SPLITS = ["train"] * 8 + ["unlabelled"] * 4


@pytest.fixture
def images():
    """A dark one, and one with a bright box in the upper left quarter."""
    images = np.zeros((2, 64, 64), np.uint8)
    images[1, 8:24, 8:24] = 255
    return images


def _load(root, teacher, *overrides):
    settings = (f"data.unlabelled.teacher={teacher}", *overrides)
    return load_examples(config(root, root / "run", *settings).data)


def test_a_model_folder_gives_its_probability_and_where_it_sees_air(images, tmp_path):
    taught = teach(images, write_model(tmp_path / "model"), tmp_path, "two")
    assert taught.labels[0] < 0.1 < 0.9 < taught.labels[1]
    masks = taught.masks(64)
    assert masks.shape == (2, 64, 64)
    assert not masks[0].any()  # not even a faint map where the finding is not called
    rows, columns = np.nonzero(masks[1] > 127)
    assert [rows.min(), columns.min()] == pytest.approx([8, 8], abs=1)
    assert [rows.max(), columns.max()] == pytest.approx([23, 23], abs=1)


def test_answers_are_kept_by_teacher_and_images(images, tmp_path):
    model = write_model(tmp_path / "model")
    first = teach(images, model, tmp_path, "two")
    path = next(tmp_path.glob("taught-*.npz"))
    written = path.stat().st_mtime_ns
    again = teach(images, model, tmp_path, "two")
    np.testing.assert_array_equal(again.labels, first.labels)
    assert path.stat().st_mtime_ns == written
    teach(images[::-1].copy(), model, tmp_path, "two, turned round")
    teach(images, write_model(tmp_path / "other", flip_average=True), tmp_path, "two")
    assert len(list(tmp_path.glob("taught-*.npz"))) == 3


def test_damaged_answers_are_named(images, tmp_path):
    model = write_model(tmp_path / "model")
    teach(images, model, tmp_path, "two")
    next(tmp_path.glob("taught-*.npz")).write_bytes(b"not an archive")
    with pytest.raises(DataError, match="are damaged"):
        teach(images, model, tmp_path, "two")


def test_neither_a_model_nor_a_run(images, tmp_path):
    with pytest.raises(ModelError, match="neither a model folder nor a run folder"):
        teach(images, tmp_path / "nothing", tmp_path, "two")


def test_an_empty_map_stays_empty_when_enlarged():
    maps = np.zeros((2, MAP_SIDE, MAP_SIDE), np.uint8)
    maps[0, :8] = 200
    masks = Taught(np.zeros(2, np.float32), maps).masks(256)
    assert masks[0, :14].min() == 200
    assert not masks[1].any()


def test_unlabelled_images_join_the_training_side_alone(tmp_path):
    write_data(tmp_path, split=SPLITS)
    loaded = _load(tmp_path, write_model(tmp_path / "model"))
    examples = loaded.examples
    assert examples.taught.tolist() == [False] * 8 + [True] * 4
    assert {8, 9, 10, 11} <= set(loaded.training.tolist())
    assert not examples.taught[loaded.validation].any()
    assert (examples.labels[8:] > 0.9).all()  # bright images, which this teacher calls positive
    assert (examples.mask_weights[8:] == 1).all()
    assert examples.images.shape == (IMAGES, SIDE, SIDE)


def test_unlabelled_images_of_held_out_patients_are_left_out(tmp_path):
    """Fold 0 of the labelled images is images 0, 1, 6, 7; image 9 is of the patient of image 6."""
    groups = [f"patient{number}" for number in range(IMAGES)]
    groups[9] = groups[6]
    write_data(tmp_path, split=SPLITS, group=groups)
    assert _load(tmp_path, write_model(tmp_path / "model")).examples.taught.sum() == 3


def test_no_unlabelled_image(data, tmp_path):
    with pytest.raises(DataError, match="no image in its split 'unlabelled'"):
        _load(data, write_model(tmp_path / "model"))


def test_a_run_teaches_the_next_one(tmp_path):
    write_data(tmp_path, split=SPLITS)
    teacher = train(config(tmp_path, tmp_path / "teacher", "schedule.epochs=1"))
    student = train(
        config(
            tmp_path,
            tmp_path / "student",
            f"data.unlabelled.teacher={teacher}",
            "data.unlabelled.share=0.5",
            "schedule.epochs=1",
        )
    )
    assert (student / "metrics.json").is_file()


def test_a_teacher_with_a_gate_judges_what_the_data_set_holds(images, tmp_path):
    """A picture that the gate doubts is refused when it is sent, and learned from in a data set."""
    model = write_model(tmp_path / "model")
    ungated = teach(images, model, tmp_path, "two")
    bright = np.full((1, 64, 64), 255, np.uint8)
    gated = add_gate(model)
    with pytest.raises(RefusedInputError):
        Predictor.load(gated).predict(as_radiograph(bright[0]))
    taught = teach(np.concatenate([images, bright]), gated, tmp_path, "three")
    np.testing.assert_array_equal(taught.labels[:2], ungated.labels)
    assert taught.labels[2] > 0.9
