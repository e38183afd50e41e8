"""The report is one page that needs nothing else, and says what the index says."""

import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from pleura.data.columns import Problem
from pleura.data.index import Index
from pleura.data.layouts.record import ImageRecord, to_table
from pleura.data.layouts.runs import set_mask
from pleura.data.report import write_report
from pleura.data.tabulation import label_counts, mask_statistics

UID = "1.2.276.0.7230010.3.1.4.77"
SIDE = 256


@pytest.fixture
def index(tmp_path: Path) -> Index:
    rng = np.random.default_rng(5)
    records = []
    for i in range(6):
        smooth = cv2.GaussianBlur(rng.integers(0, 255, (SIDE, SIDE)).astype(np.uint8), (0, 0), 9)
        cv2.imwrite(
            str(tmp_path / f"{i}.png"), cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)
        )
        record = ImageRecord(f"{UID}.{i}", f"{UID}.{i}", f"{i}.png", SIDE, SIDE, label=i % 2)
        record.split, record.view, record.age_years = "train", "PA", 17.0 + i
        record.sex = "" if i == 0 else "M"
        if record.label:
            mask = np.zeros((SIDE, SIDE), bool)
            mask[0:64, 0:64] = True
            mask[200:201, 200:201] = i > 1
            set_mask(record, mask, "published")
        else:
            record.set_negative((SIDE, SIDE))
        records.append(record)
    gone = ImageRecord(f"{UID}.9", path="gone.png", label=1, problems=[Problem.MISSING_FILE])
    return Index(to_table([*records, gone]), tmp_path, "png-mirror", {"notes": ["<b>a note</b>"]})


class Addresses(HTMLParser):
    """Everything that a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.pictures = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.pictures += tag == "img"
        self.found += [value or "" for name, value in attrs if name in ("src", "href")]
        assert tag not in ("script", "link", "iframe")


def test_the_page_opens_offline_and_holds_no_identifier(index: Index, tmp_path: Path) -> None:
    page = write_report(index, tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    addresses = Addresses()
    addresses.feed(page)
    assert all(address.startswith("data:image/png;base64,") for address in addresses.found)
    assert addresses.pictures == 3 + 6  # masks, readable images
    assert "url(" not in page
    assert "not a medical device" in page
    assert UID not in page
    assert "&lt;b&gt;a note&lt;/b&gt;" in page
    assert re.search(r"missing_file</td>.*?>1</td>\s*<td class=\"small\">6</td>", page, re.DOTALL)
    assert "1 of the images chosen could not" in page


def test_images_that_cannot_be_reached_are_counted(index: Index, tmp_path: Path) -> None:
    moved = Index(index.table, tmp_path / "elsewhere", index.layout)
    page = write_report(moved, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "4 of the images chosen could not" in page
    assert "3 of the images chosen could not" in page


def test_an_index_without_masks_has_a_report(tmp_path: Path) -> None:
    index = Index(to_table([ImageRecord("a", split="unlabelled")]), tmp_path, "png-mirror")
    page = write_report(index, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "holds no mask" in page


def test_labels_are_counted_by_value_with_unknown_last(index: Index) -> None:
    ages = {
        entry.value: (entry.positive, entry.negative)
        for entry in label_counts(index.table, "age_band")
    }
    assert ages == {"0 to 17": (0, 1), "18 to 39": (3, 2), "unknown": (1, 0)}
    sexes = label_counts(index.table, "sex")
    assert [entry.value for entry in sexes] == ["M", "unknown"]
    assert sexes[0].positive_share == pytest.approx(3 / 5)
    tubes = label_counts(index.table, "chest_tube")
    assert [(entry.value, entry.positive) for entry in tubes] == [("unknown", 4)]


def test_masks_are_measured(index: Index) -> None:
    masks = mask_statistics(index.table, side=32)
    assert masks.area_fraction.tolist() == pytest.approx(
        [1 / 16, 1 / 16 + 1 / SIDE**2, 1 / 16 + 1 / SIDE**2]
    )
    assert masks.n_regions.tolist() == [1, 2, 2]
    assert masks.heat_map[:8, :8].min() == pytest.approx(1.0)
    assert masks.heat_map[8:24].max() == 0.0
    assert masks.heat_map[25, 25] == pytest.approx(2 / 3 / 64, abs=0.01)
