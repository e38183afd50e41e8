"""The index as a file: what is written is read, elsewhere too; and the command line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from pleura.cli.main import main
from pleura.data.columns import COLUMN_NAMES, COLUMNS, Problem, conform
from pleura.data.index import Index, read_index, write_index
from pleura.data.layouts.headers import hash_patient, parse_age
from pleura.data.layouts.record import ImageRecord, mark_doubles, to_table
from pleura.errors import DataError, NotFoundError


def small_index(root: Path) -> Index:
    positive = ImageRecord("a", path="a.png", rows=8, columns=8, label=1, split="train", fold=0)
    positive.rle, positive.mask_rows, positive.mask_columns = "0 3", 8, 8
    positive.area_fraction, positive.mask_weight, positive.mask_source = 3 / 64, 0.5, "matched"
    negative = ImageRecord("b", path="b.png", label=0, split="test", group="p", group_known=True)
    negative.set_negative((8, 8))
    unknown = ImageRecord("c", problems=[Problem.MISSING_FILE, Problem.NO_LABEL])
    table = to_table([positive, negative, unknown])
    return Index(table, root, "png-mirror", {"table_rows": 3, "notes": ["a note"], "details": []})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    index = small_index(tmp_path)
    read = read_index(write_index(index, tmp_path / "deep" / "index.parquet"))
    pd.testing.assert_frame_equal(read.table, index.table)
    assert (read.root, read.layout, read.summary) == (tmp_path, "png-mirror", dict(index.summary))
    assert read.fingerprint == index.fingerprint


def test_unknown_is_not_zero(tmp_path: Path) -> None:
    table = read_index(write_index(small_index(tmp_path), tmp_path / "i.parquet")).table
    assert tuple(table.columns) == COLUMN_NAMES
    unknown = table.iloc[2]
    assert pd.isna(unknown["label"])
    assert pd.isna(unknown["fold"])
    assert np.isnan(unknown["mask_weight"])
    assert unknown["rle"] == ""
    assert unknown["problems"] == "missing_file;no_label"
    assert (unknown["group"], unknown["group_known"]) == ("c", False)
    assert table["label"].dtype == "Int8"


def test_the_root_may_move_and_stays_out_of_the_fingerprint(tmp_path: Path) -> None:
    path = write_index(small_index(tmp_path), tmp_path / "i.parquet")
    assert read_index(path, tmp_path / "moved").root == tmp_path / "moved"
    assert small_index(tmp_path / "other").fingerprint == small_index(tmp_path).fingerprint
    changed = small_index(tmp_path)
    changed.table.loc[0, "label"] = 0
    assert changed.fingerprint != small_index(tmp_path).fingerprint
    metadata = pq.read_schema(path).metadata
    assert metadata[b"pleura.root"].decode() == str(tmp_path)
    assert metadata[b"pleura.fingerprint"].decode() == small_index(tmp_path).fingerprint


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_index(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("label\n1\n")
    with pytest.raises(DataError):
        read_index(tmp_path / "text.parquet")
    pd.DataFrame({"label": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(DataError):
        read_index(tmp_path / "other.parquet")


def test_the_contract_is_enforced(tmp_path: Path) -> None:
    table = small_index(tmp_path).table
    with pytest.raises(DataError, match="rle"):
        conform(table.drop(columns="rle"))
    with pytest.raises(DataError, match="label"):
        conform(table.assign(label=["yes", "no", ""]))
    with pytest.raises(DataError, match="image_id"):
        conform(table.assign(image_id=["a", "a", "b"]))
    assert conform(table.assign(more=1)).columns.tolist() == list(COLUMN_NAMES)


def test_the_document_names_every_column_and_code() -> None:
    document = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    for name in [*(column.name for column in COLUMNS), *(problem.value for problem in Problem)]:
        assert f"`{name}`" in document


def test_of_doubles_the_first_usable_one_stays() -> None:
    records = [ImageRecord(name, sop_instance_uid=uid) for name, uid in
               (("a", "1"), ("a", "2"), ("b", "3"), ("c", "3"), ("d", ""), ("e", ""))]  # fmt: skip
    for record in records[1:]:
        record.split = "train"
    mark_doubles(records)
    assert [record.image_id for record in records] == ["a", "a#2", "b", "c", "d", "e"]
    assert [record.split for record in records] == ["", "train", "train", "", "train", "train"]
    marked = [record.image_id for record in records if record.problems]
    assert marked == ["a", "a#2", "b", "c"]


def test_of_doubles_a_labelled_one_goes_before_an_unlabelled_one() -> None:
    unlabelled = ImageRecord("a", sop_instance_uid="1", split="unlabelled")
    labelled = ImageRecord("b", sop_instance_uid="1", label=1, split="train", fold=2)
    later = ImageRecord("c", sop_instance_uid="1", label=1, split="train", fold=1)
    mark_doubles([unlabelled, labelled, later])
    assert [record.split for record in (unlabelled, labelled, later)] == ["", "train", ""]
    assert (labelled.label, labelled.fold) == (1, 2)
    assert labelled.problems == [Problem.DOUBLE_UID]


def test_doubles_that_contradict_each_other_have_no_label() -> None:
    """Whether their name or their UID is the same; the third says what the first said."""
    first = ImageRecord("a", sop_instance_uid="1", label=0, split="train", fold=0)
    first.set_negative()
    namesake = ImageRecord("a", sop_instance_uid="2", label=1, split="train", fold=1)
    same_uid = ImageRecord("b", sop_instance_uid="2", label=0, split="train", fold=2)
    apart = ImageRecord("c", sop_instance_uid="3", label=1, split="train", fold=2)
    mark_doubles([first, namesake, same_uid, apart])
    for record in (first, namesake, same_uid):
        assert record.label is record.fold is None
        assert (record.rle, record.area_fraction) == ("", None)
        assert Problem.CONFLICTING_LABEL in record.problems
    assert [record.split for record in (first, namesake, same_uid)] == [
        "unlabelled",
        "",
        "unlabelled",
    ]
    assert (apart.label, apart.split, apart.problems) == (1, "train", [])


@pytest.mark.parametrize(
    ("text", "years"),
    [("045Y", 45.0), ("45", 45.0), ("006M", 0.5), ("026W", 0.498), ("", None), ("old", None)],
)
def test_ages(text: str, years: float | None) -> None:
    assert parse_age(text) == (None if years is None else pytest.approx(years, abs=0.001))


def test_patients_are_hashed() -> None:
    assert hash_patient("") == ""
    assert len(hash_patient("12345")) == 16
    assert hash_patient("12345") == hash_patient("12345") != hash_patient("12346")
    assert hash_patient("12345", "salt") != hash_patient("12345")


def test_the_command_writes_an_index_and_shows_the_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import cv2

    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for name in "ab":
        picture = np.full((32, 32), 90, np.uint8)
        mask = np.zeros((32, 32), np.uint8)
        mask[4:8, 4:8] = 255 * (name == "a")
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), picture)
        cv2.imwrite(str(tmp_path / "masks" / f"{name}.png"), mask)
    output = tmp_path / "index.parquet"
    with pytest.raises(SystemExit) as leave:
        main(["data", "index", str(tmp_path), "-o", str(output)])
    assert not leave.value.code
    said = capsys.readouterr().out
    assert "png-mirror" in said
    assert "12,954" in said
    assert read_index(output).table["label"].tolist() == [1, 0]
    with pytest.raises(SystemExit) as leave:
        main(["data", "index", str(tmp_path / "masks"), "-o", str(output)])
    assert leave.value.code == 2
    assert "[data_error]" in capsys.readouterr().err
