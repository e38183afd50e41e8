"""A submission to the SIIM-ACR challenge: the sample's rows in its order, and nothing lost."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pleura import Prediction, Predictor
from pleura.errors import DataError, NotFoundError
from pleura.inference import Refusal, Status
from pleura.masks import RunLengthConvention, decode, decode_union, encode
from pleura.outputs import OutputFolder, SubmissionWriter, read_sample
from pleura.radiograph import Identifiers, Radiograph
from tiny_model import radiograph

SIIM = RunLengthConvention.SIIM_RELATIVE
SHAPE = (1024, 1024)


@pytest.fixture
def prediction(model_folder: Path) -> Prediction:
    return Predictor.load(model_folder).predict(radiograph())


def named(prediction: Prediction, source: str, mask: np.ndarray, uid: str = "") -> Prediction:
    picture = Radiograph(
        np.zeros(mask.shape, np.float32), source=source, identifiers=Identifiers(uid)
    )
    return replace(prediction, radiograph=picture, mask=mask)


def boxes(*places: tuple[int, int, int, int], shape: tuple[int, int] = SHAPE) -> np.ndarray:
    mask = np.zeros(shape, bool)
    for top, left, bottom, right in places:
        mask[top:bottom, left:right] = True
    return mask


def rows_of(path: Path) -> list[tuple[str, str]]:
    with path.open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["ImageId", "EncodedPixels"]
    return [(identifier, runs) for identifier, runs in rows]


def test_the_samples_rows_in_its_order_whatever_order_the_images_come_in(
    tmp_path: Path, prediction: Prediction
) -> None:
    sample = ("ID_c", "1.2.3", "ID_a", "ID_b", "ID_d")
    writer = SubmissionWriter(tmp_path, sample)
    mask = boxes((10, 20, 40, 60), (500, 500, 520, 580))
    with OutputFolder(tmp_path, (), [writer]) as folder:
        folder.write(named(prediction, "x.zip#stage_2_images/ID_a.dcm", mask))
        folder.write(named(prediction, "stage_2_images/ID_b.dcm", boxes(), uid="9.9"))
        folder.write(named(prediction, "stage_1/file.dcm", boxes((0, 0, 1, 1)), uid="1.2.3"))
        folder.write(named(prediction, "other.dcm", mask))
        folder.write(named(prediction, "again/ID_a.dcm", boxes()))
        folder.write(Refusal("ID_c.dcm", Status.REFUSED, "truncated", "Short.", "Again."))
        writer.finish()
    rows = rows_of(tmp_path / "submission.csv")
    assert [identifier for identifier, _ in rows] == list(sample)
    masks = dict(rows)
    assert np.array_equal(decode(masks["ID_a"], SHAPE, SIIM), mask)
    assert masks["1.2.3"] == "0 1"
    assert masks["ID_b"] == masks["ID_c"] == masks["ID_d"] == "-1"
    assert (writer.missing, writer.unlisted, writer.repeated) == (2, 1, 1)
    assert sorted(path.name for path in tmp_path.glob("submission*")) == ["submission.csv"]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_the_rows_of_an_image_share_out_its_regions(
    tmp_path: Path, prediction: Prediction, count: int
) -> None:
    mask = boxes((0, 0, 10, 10), (100, 0, 130, 20), (200, 200, 240, 260))
    writer = SubmissionWriter(tmp_path, ["ID_a", *["ID_b"] * count, "ID_a"])
    writer.write(named(prediction, "ID_b.dcm", mask))
    writer.finish()
    rows = rows_of(writer.path)
    runs = [text for identifier, text in rows if identifier == "ID_b"]
    assert len(runs) == count
    assert "-1" not in runs
    assert np.array_equal(decode_union(runs, SHAPE, SIIM), mask)
    if count >= 2:
        assert runs[0] == encode(boxes((200, 200, 240, 260)), SIIM)  # the largest
    assert [text for identifier, text in rows if identifier == "ID_a"] == ["-1", "-1"]
    assert writer.missing == 2


def test_masks_lie_on_the_challenges_grid(tmp_path: Path, prediction: Prediction) -> None:
    writer = SubmissionWriter(tmp_path)
    writer.write(named(prediction, "small.png", boxes((16, 32, 48, 64), shape=(512, 512))))
    writer.finish()
    ((identifier, runs),) = rows_of(writer.path)
    assert identifier == "small"
    assert np.array_equal(decode(runs, SHAPE, SIIM), boxes((32, 64, 96, 128)))


def test_a_run_that_breaks_off_leaves_no_file_that_looks_complete(
    tmp_path: Path, prediction: Prediction
) -> None:
    out = tmp_path / "out"
    with OutputFolder(out, (), [SubmissionWriter(out, ["ID_a"])]) as folder:
        folder.write(named(prediction, "ID_a.dcm", boxes()))  # and then something ended the run
    assert list(out.iterdir()) == []


def test_the_published_samples_form_is_read(tmp_path: Path) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_text(
        "\ufeffImageId, EncodedPixels\nID_b,-1\nID_a,1 2\nID_b,-1\n", encoding="utf-8"
    )
    assert read_sample(sample) == ("ID_b", "ID_a", "ID_b")


@pytest.mark.parametrize(
    "text", ["", "ImageId,EncodedPixels\n", "Image,Pixels\na,-1\n", "ImageId\n,\n"]
)
def test_what_is_no_sample_is_refused(tmp_path: Path, text: str) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_text(text)
    with pytest.raises(DataError, match="does not name an image"):
        read_sample(sample)
    with pytest.raises(NotFoundError):
        read_sample(tmp_path / "none.csv")
    sample.write_bytes(b"ImageId\n\xff\xfe\x00")
    with pytest.raises(DataError, match="not a CSV table"):
        read_sample(sample)
