"""Each layout on a small made-up copy, with every contradiction that must be reported."""

import csv
import io
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from pleura.data.columns import Problem
from pleura.data.counts import count, count_problems, splits_of_patients
from pleura.data.index import Index, build_index
from pleura.data.sources import open_image
from pleura.errors import DataError, NotFoundError
from pleura.masks import decode

GRID = (1024, 1024)
PREFIX = "1.2.276.0.7230010.3.1.4.1"
TWO_PIXELS = "0 2"
NEXT_PIXELS = "2 3"
PATIENT = "SECRET-PATIENT"


def write_dicom(path: Path, uid: str, patient: str = PATIENT, **values: object) -> None:
    dataset = Dataset()
    if not uid.replace(".", "").isdigit():
        uid = f"{PREFIX}.{zlib.crc32(uid.encode())}"
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, uid
    dataset.PatientID = dataset.PatientName = patient
    dataset.PatientSex, dataset.ViewPosition = "F", "PA"
    dataset.Rows, dataset.Columns = GRID
    for name, value in values.items():
        # The published files hold ages without a unit, which pydicom would warn of.
        tag = tag_for_keyword(name)
        assert tag is not None
        dataset.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def write_csv(path: Path, header: list[str], rows: list[list[object]]) -> None:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


def problems(index: Index) -> dict[str, set[str]]:
    """The codes of each image that has any."""
    table = index.table
    return {
        name: set(codes.split(";"))
        for name, codes in zip(table["image_id"], table["problems"], strict=True)
        if codes
    }


def counted(index: Index, code: Problem) -> int:
    return next(entry.value for entry in count_problems(index) if entry.code is code)


@pytest.fixture
def stage_1(tmp_path: Path) -> Path:
    """Study/series/instance tree, with the published file's leading spaces."""

    def place(uid: str, folder: str = "dicom-images-train", tag: str = "") -> Path:
        return tmp_path / folder / f"{uid}.study{tag}" / f"{uid}.series" / f"{uid}.dcm"

    rows: list[list[object]] = []
    for name, runs in {
        "two-rows": [TWO_PIXELS, NEXT_PIXELS],
        "negative": ["-1"],
        "conflict": ["-1", TWO_PIXELS],
        "malformed": ["5 3 7"],
        "beyond": [f"{1024 * 1024} 1"],
        "repeated": [TWO_PIXELS, TWO_PIXELS],
        "double": ["-1"],
        "gone": [TWO_PIXELS],
        "broken": ["-1"],
        "wide": [TWO_PIXELS],
        "test-labelled": [TWO_PIXELS],
    }.items():
        rows += [[f"{PREFIX}.{name}", f" {run}"] for run in runs]
    for name in ("two-rows", "negative", "conflict", "malformed", "beyond", "repeated", "no-row"):
        write_dicom(place(f"{PREFIX}.{name}"), f"{PREFIX}.{name}", PatientAge="051Y")
    for tag in ("", ".again"):
        write_dicom(place(f"{PREFIX}.double", tag=tag), f"{PREFIX}.double")
    write_dicom(place(f"{PREFIX}.wide"), f"{PREFIX}.wide", Columns=2048)
    for name in ("test-labelled", "test-unlabelled"):
        uid = f"{PREFIX}.{name}"
        write_dicom(place(uid, "dicom-images-test"), uid, "OTHER", PatientAge="81")
    broken = place(f"{PREFIX}.broken")
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"no DICOM")
    write_csv(tmp_path / "train-rle.csv", ["ImageId", " EncodedPixels"], rows)
    return tmp_path


class TestStage1:
    def test_every_contradiction_is_reported_and_nothing_is_dropped(self, stage_1: Path) -> None:
        index = build_index(stage_1)
        assert index.layout == "kaggle-stage1"
        assert problems(index) == {
            f"{PREFIX}.conflict": {"conflicting_label"},
            f"{PREFIX}.malformed": {"malformed_rle"},
            f"{PREFIX}.beyond": {"mask_grid_mismatch"},
            f"{PREFIX}.repeated": {"repeated_row"},
            f"{PREFIX}.no-row": {"no_label"},
            f"{PREFIX}.double": {"double_uid"},
            f"{PREFIX}.double#2": {"double_uid"},
            f"{PREFIX}.gone": {"missing_file"},
            f"{PREFIX}.broken": {"unreadable_file"},
            f"{PREFIX}.wide": {"mask_grid_mismatch"},
        }
        assert counted(index, Problem.DOUBLE_UID) == 2
        assert counted(index, Problem.MASK_ON_NEGATIVE) == 0

    def test_labels_masks_and_splits(self, stage_1: Path) -> None:
        table = build_index(stage_1).table.set_index("image_id")
        union = table.loc[f"{PREFIX}.two-rows"]
        expected = np.zeros(GRID, bool)
        expected[:5, 0] = True  # 0..1 and 2..4 down the first column
        assert np.array_equal(decode(union["rle"], GRID), expected)
        assert union["area_fraction"] == pytest.approx(5 / 1024**2)
        assert (union["label"], union["mask_source"], union["mask_weight"]) == (1, "published", 1.0)
        assert (union["age_years"], union["sex"], union["view"]) == (51.0, "F", "PA")
        negative = table.loc[f"{PREFIX}.negative"]
        assert (negative["label"], negative["rle"], negative["area_fraction"]) == (0, "-1", 0.0)
        assert np.isnan(negative["mask_weight"])
        splits = {name.removeprefix(f"{PREFIX}."): s for name, s in table["split"].items()}
        assert splits == {
            "two-rows": "train",
            "negative": "train",
            "malformed": "train",
            "beyond": "train",
            "repeated": "train",
            "wide": "train",
            "double": "train",
            "test-labelled": "test",
            "test-unlabelled": "unlabelled",
            "conflict": "unlabelled",
            "no-row": "unlabelled",
            "double#2": "",
            "gone": "",
            "broken": "",
        }
        for name in ("malformed", "beyond", "wide"):
            row = table.loc[f"{PREFIX}.{name}"]
            assert row["label"] == 1
            assert row["rle"] == ""
            assert np.isnan(row["area_fraction"])

    def test_counts_stand_beside_the_published_ones(self, stage_1: Path) -> None:
        index = build_index(stage_1)
        values = {entry.name: (entry.value, entry.published) for entry in count(index)}
        assert values["rows of the mask table"] == (14, 12_954)
        assert values["images in the mask table"] == (11, 12_047)
        assert values["images with several rows"] == (3, 624)
        assert values["positive"] == (7, 2_669)
        assert values["images in the index"] == (14, 12_047)

    def test_no_identifier_of_a_patient_and_no_uid_in_a_message(self, stage_1: Path) -> None:
        index = build_index(stage_1)
        assert PATIENT not in index.table.to_csv()
        sentences = [*index.summary["details"], *index.summary["notes"]]
        assert any("table row" in sentence for sentence in sentences)
        assert not any(PREFIX in sentence for sentence in sentences)
        same = index.table[index.table["image_id"].isin([f"{PREFIX}.wide", f"{PREFIX}.negative"])]
        assert same["group"].nunique() == 1
        assert same["group_known"].all()
        salted = build_index(stage_1, salt="pepper").table
        assert not set(salted["group"]) & set(same["group"])


class TestStage2:
    def test_flat_files_are_found_by_name_and_by_uid(self, tmp_path: Path) -> None:
        write_dicom(tmp_path / "stage_2_images" / "ID_aa.dcm", f"{PREFIX}.1")
        write_dicom(tmp_path / "stage_2_images" / "ID_bb.dcm", f"{PREFIX}.2")
        write_dicom(tmp_path / "stage_2_images" / "ID_cc.dcm", f"{PREFIX}.3")
        rows: list[list[object]] = [["ID_aa", TWO_PIXELS], [f"{PREFIX}.2", "-1"]]
        write_csv(tmp_path / "stage_2_train.csv", ["ImageId", "EncodedPixels"], rows)
        index = build_index(tmp_path)
        assert index.layout == "kaggle-stage2"
        assert index.table["image_id"].tolist() == ["ID_aa", f"{PREFIX}.2", "ID_cc"]
        assert index.table["split"].tolist() == ["train", "train", "unlabelled"]
        assert not problems(index)

    def test_one_patient_an_image_is_said_to_be_no_grouping(self, tmp_path: Path) -> None:
        names = [f"ID_{i:03d}" for i in range(100)]
        for i, name in enumerate(names):
            write_dicom(tmp_path / "images" / f"{name}.dcm", f"{PREFIX}.{i}", f"P{i}")
        rows: list[list[object]] = [
            [name, TWO_PIXELS if i % 4 else "-1"] for i, name in enumerate(names)
        ]
        write_csv(tmp_path / "stage_2_train.csv", ["ImageId", "EncodedPixels"], rows)
        index = build_index(tmp_path)
        assert not index.table["group_known"].any()
        assert any("--groups" in note for note in index.summary["notes"])
        groups = tmp_path / "patients.csv"
        write_csv(groups, ["image_id", "group"], [[name, i // 5] for i, name in enumerate(names)])
        index = build_index(tmp_path, groups=groups, test_share=0.25, n_folds=4)
        assert index.table["group_known"].all()
        assert splits_of_patients(index) == 0
        assert index.table["split"].value_counts().to_dict() == {"train": 75, "test": 25}
        training = index.table[index.table["split"] == "train"]
        assert set(training["fold"]) == {0, 1, 2, 3}
        assert (training.groupby("group")["fold"].nunique() == 1).all()
        assert index.table.loc[index.table["split"] == "test", "fold"].isna().all()


def write_png(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


class TestMirrors:
    def test_images_masks_and_table(self, tmp_path: Path) -> None:
        picture, empty = np.full((64, 64), 90, np.uint8), np.zeros((64, 64), np.uint8)
        mask = empty.copy()
        mask[3:9, 20:24] = 255
        rows: list[list[object]] = []
        for name, said, shown in (
            ("0_train_1_", 1, mask),
            ("1_train_0_", 0, empty),
            ("2_train_0_", 0, mask),
            ("3_train_1_", 1, empty),
            ("4_test_1_", 1, mask),
            ("5_train_1_", 1, mask[:, :32]),
            ("6_train_1_", 1, None),
        ):
            write_png(tmp_path / "png_images" / f"{name}.png", picture)
            if shown is not None:
                write_png(tmp_path / "png_masks" / f"{name}.png", shown)
            rows.append([f"{name}.png", f"{PREFIX}.{name[0]}", said])
        rows.append(["7_train_0_.png", f"{PREFIX}.7", 0])
        write_png(tmp_path / "png_images" / "8_train_0_.png", picture)
        header = ["new_filename", "ImageId", "has_pneumo"]
        write_csv(tmp_path / "stage_1_train_images.csv", header, rows)
        index = build_index(tmp_path)
        assert index.layout == "png-mirror"
        assert problems(index) == {
            "2_train_0_": {"mask_on_negative"},
            "3_train_1_": {"empty_mask"},
            "5_train_1_": {"mask_grid_mismatch"},
            "6_train_1_": {"mask_unknown"},
            "7_train_0_": {"missing_file"},
            "8_train_0_": {"no_label"},
        }
        table = index.table.set_index("image_id")
        first = table.loc["0_train_1_"]
        assert np.array_equal(decode(first["rle"], (64, 64)), mask > 0)
        assert (first["mask_source"], first["rows"], first["columns"]) == ("png", 64, 64)
        assert first["sop_instance_uid"] == f"{PREFIX}.0"
        assert table.loc["4_test_1_", "split"] == "test"
        assert table.loc["1_train_0_", "rle"] == "-1"
        assert index.table.set_index("image_id")["label"].isna()["2_train_0_"]

    def test_masks_of_zero_and_one_without_a_table(self, tmp_path: Path) -> None:
        mask = np.zeros((16, 16), np.uint8)
        mask[2:4, 2:4] = 1
        write_png(tmp_path / "train" / f"{PREFIX}.1.png", mask)
        write_png(tmp_path / "masks" / f"{PREFIX}.1.png", mask)
        table = build_index(tmp_path).table
        assert table["area_fraction"].tolist() == [4 / 256]
        assert table["sop_instance_uid"].tolist() == [f"{PREFIX}.1"]


HEADER = ["id", "file", "size", "split", "fold", "label", "label_by", "mask_by", "match_posterior"]
HEADER += ["group", "group_known", "view", "age", "sex", "chest_tube", "pixels_from"]


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    """Two tables and a tar archive, with contradictions."""
    jpeg = bytes(cv2.imencode(".jpg", np.full((32, 32), 120, np.uint8))[1])
    with tarfile.open(tmp_path / "train-00.tar", "w") as archive:
        for name in "abcdefg":
            member = tarfile.TarInfo(f"{name}.jpg")
            member.size = len(jpeg) + ord(name)
            archive.addfile(member, io.BytesIO(jpeg + name.encode() * ord(name)))

    def row(name: str, label: object, **values: object) -> list[object]:
        known: dict[str, object] = {"id": name, "file": f"train-00.tar#{name}.jpg", "size": 32}
        known |= {"split": "train", "fold": 2, "label": label, "label_by": "reader", "group": "p1"}
        known |= {"group_known": 1, "view": "AP", "age": 40, "sex": "M", "pixels_from": "png"}
        known |= values
        return [known.get(column, "") for column in HEADER]

    rows = [
        row("a", 1, mask_by="matched", match_posterior=0.75, chest_tube=1),
        row("b", 0),
        row("c", 0),
        row("d", 1, age=152),
        row("e", "", split="unlabelled", fold="", group="x", group_known=0),
        row("f", ""),
        row("missing", 1),
        row("g", 1),
    ]
    write_csv(tmp_path / "index.csv", HEADER, rows)
    masks: list[list[object]] = [["a", TWO_PIXELS], ["a", NEXT_PIXELS], ["c", TWO_PIXELS]]
    masks += [["g", "-1"], ["stray", TWO_PIXELS]]
    write_csv(tmp_path / "masks.csv", ["id", "rle"], masks)
    return tmp_path


class TestArchives:
    def test_problems_counts_and_values(self, archives: Path) -> None:
        index = build_index(archives)
        assert index.layout == "archives"
        assert problems(index) == {
            "c": {"mask_on_negative"},
            "d": {"mask_unknown", "implausible_age"},
            "f": {"no_label"},
            "missing": {"missing_file", "mask_unknown"},
            "g": {"conflicting_label"},
        }
        assert index.summary["notes"] == ["1 images of masks.csv have no row in index.csv."]
        table = index.table.set_index("image_id")
        assert table.loc["a", "mask_weight"] == 0.75
        assert table.loc["a", "mask_source"] == "matched"
        assert table.loc["a", "chest_tube"] == 1
        assert table["split"].to_dict() == {
            "a": "train",
            "b": "train",
            "c": "unlabelled",
            "d": "train",
            "e": "unlabelled",
            "f": "unlabelled",
            "missing": "",
            "g": "unlabelled",
        }
        assert table["fold"].dropna().to_dict() == {"a": 2, "b": 2, "d": 2}

    def test_folds_that_divide_a_patient_are_made_anew(self, tmp_path: Path) -> None:
        """As brought when they keep patients whole; else, and with `--groups`, by patient."""
        names = [f"n{number:02d}" for number in range(24)]

        def index(fold_of: Callable[[int], int], **options: Path) -> Index:
            rows: list[list[object]] = []
            for number, name in enumerate(names):
                cv2.imwrite(str(tmp_path / f"{name}.jpg"), np.full((32, 32), 120, np.uint8))
                known: dict[str, object] = {"id": name, "file": f"{name}.jpg", "split": "train"}
                known |= {"label": number % 2, "group": f"p{number // 2}", "group_known": 1}
                known["fold"] = fold_of(number)
                rows.append([known.get(column, "") for column in HEADER])
            write_csv(tmp_path / "index.csv", HEADER, rows)
            write_csv(tmp_path / "masks.csv", ["id", "rle"], [[n, TWO_PIXELS] for n in names[1::2]])
            return build_index(tmp_path, n_folds=3, **options)

        whole = index(lambda number: number // 2 % 3)
        assert whole.table["fold"].tolist() == [number // 2 % 3 for number in range(24)]
        assert whole.summary["notes"] == []
        divided = index(lambda number: number % 3)
        assert (divided.table.groupby("group")["fold"].nunique() == 1).all()
        assert divided.table["fold"].nunique() == 3
        assert "12 patients stood in several" in divided.summary["notes"][0]
        groups = tmp_path / "groups" / "patients.csv"
        groups.parent.mkdir()
        write_csv(groups, ["image_id", "group"], [[n, i // 4] for i, n in enumerate(names)])
        regrouped = index(lambda number: number // 2 % 3, groups=groups)
        assert regrouped.table["group"].nunique() == 6
        assert (regrouped.table.groupby("group")["fold"].nunique() == 1).all()
        assert "made anew" in regrouped.summary["notes"][1]

    def test_folds_that_divide_a_patient_are_dropped_when_none_can_be_made(
        self, archives: Path
    ) -> None:
        groups = archives / "patients.csv"
        write_csv(groups, ["image_id", "group"], [["a", "p1"]])
        index = build_index(archives, groups=groups)
        assert index.table["fold"].isna().all()
        assert "No folds were made" in index.summary["notes"][-1]

    def test_members_are_read_without_extracting(self, archives: Path) -> None:
        data = open_image(archives, "train-00.tar#c.jpg")
        assert data.endswith(b"\xd9" + b"c" * ord("c"))
        with pytest.raises(NotFoundError):
            open_image(archives, "train-00.tar#z.jpg")
        with pytest.raises(NotFoundError):
            open_image(archives, "train-01.tar#c.jpg")
        with pytest.raises(DataError):
            open_image(archives / "sub", "../index.csv")
        (archives / "text.tar").write_text("no archive at all")
        with pytest.raises(DataError):
            open_image(archives, "text.tar#a.jpg")


def test_a_folder_without_any_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        build_index(tmp_path)
    with pytest.raises(NotFoundError):
        build_index(tmp_path / "nowhere")


@pytest.mark.real_data
def test_real_data(real_data: Path) -> None:
    index = build_index(real_data)
    table = index.table
    assert table.groupby("split").size().to_dict() == {
        "test": 353,
        "train": 4015,
        "unlabelled": 1800,
    }
    assert counted(index, Problem.MASK_UNKNOWN) == 28
    assert counted(index, Problem.MISSING_FILE) == 0
    assert splits_of_patients(index) == 0
    masked = table[table["mask_source"] != ""]
    assert masked["area_fraction"].median() == pytest.approx(0.0084, abs=0.001)
