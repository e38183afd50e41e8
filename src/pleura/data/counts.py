"""Counts of an index, next to those of the full published table."""

from dataclasses import dataclass

from pleura.data.columns import PROBLEM_TEXTS, Problem
from pleura.data.index import Index

PUBLISHED_ROWS = 12_954
PUBLISHED_IMAGES = 12_047
PUBLISHED_POSITIVES = 2_669
PUBLISHED_SEVERAL_ROWS = 624


@dataclass(frozen=True, slots=True)
class Count:
    """One counted thing; `published` is the figure of the full SIIM-ACR table, where it has one."""

    name: str
    value: int
    published: int | None = None


@dataclass(frozen=True, slots=True)
class ProblemCount:
    """How many images have a problem."""

    code: Problem
    value: int
    text: str


def count(index: Index) -> list[Count]:
    """Rows, images, labels, masks and splits of an index."""
    table, summary = index.table, index.summary
    label = table["label"]
    known = table["label"].notna()
    positives = int((label == 1).sum())
    return [
        Count("rows of the mask table", int(summary.get("table_rows", 0)), PUBLISHED_ROWS),
        Count("images in the mask table", int(summary.get("images_in_table", 0)), PUBLISHED_IMAGES),
        Count(
            "images with several rows",
            int(summary.get("images_with_several_rows", 0)),
            PUBLISHED_SEVERAL_ROWS,
        ),
        Count("images in the index", len(table), PUBLISHED_IMAGES),
        Count("positive", positives, PUBLISHED_POSITIVES),
        Count("negative", int((label == 0).sum()), PUBLISHED_IMAGES - PUBLISHED_POSITIVES),
        Count("label unknown", int((~known).sum())),
        Count("with a mask", int((table["mask_source"] != "").sum()), PUBLISHED_POSITIVES),
        Count("patient groups", int(table["group"].nunique())),
        Count("patient unknown", int((~table["group_known"]).sum())),
        *(
            Count(f"split {name or 'none (not to be used)'}", int((table["split"] == name).sum()))
            for name in ("train", "test", "unlabelled", "")
        ),
    ]


def count_problems(index: Index) -> list[ProblemCount]:
    """Every problem code with the number of images that have it, also where that is 0."""
    codes = index.table["problems"].str.split(";").explode().value_counts()
    return [
        ProblemCount(problem, int(codes.get(problem.value, 0)), PROBLEM_TEXTS[problem])
        for problem in Problem
    ]


def splits_of_patients(index: Index) -> int:
    """Number of patients with images in both `train` and `test`; it should be 0."""
    used = index.table[index.table["split"].isin(["train", "test"])]
    return int((used.groupby("group")["split"].nunique() > 1).sum())
