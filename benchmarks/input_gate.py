"""Train the input gate, cross-validate it, and put it into a model folder.

    python benchmarks/input_gate.py --data INDEX --others FOLDER --weights FOLDER [-o FOLDER]
        [--model FOLDER] [--steps N]

Five folds: the radiographs by patient, as the index has them; the pictures of something else by
series, so that slices of one patient stay together. Every picture is judged by a network that has
not seen it. The limits are chosen on these judgements: at most 3 in 1,000 radiographs refused, at
most 15 in 1,000 warned of. Then one network learns from everything; with --model it goes into that
folder, with the limits and the figures.

FOLDER of the others holds `ood.csv` with the columns `file` and `kind`. What the reader refuses
(colour, below 200 pixels) never reaches the gate; it is counted apart, and learned from as well.
"""

import argparse
import csv
import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.data.cache import open_cache
from pleura.data.index import read_index
from pleura.errors import PleuraError
from pleura.export.gate import write_gate
from pleura.inference.manifest import Estimate
from pleura.io import read_radiograph
from pleura.masks import Letterbox
from pleura.metrics import proportion
from pleura.phantom import draw, spec_for
from pleura.quality import Kind, Limit, PictureScores
from pleura.quality.spec import FAULTS, INVERTED, TURNED
from pleura.training.gate import GateNetwork, GatePictures, scores, train_gate
from pleura.training.pictures import Picture, cut_off, photographed
from rle import machine

FOLDS = 5
STORED = 160
SEED = 20191030
PHANTOMS = 100
REFUSED_SHARE, WARNED_SHARE = 0.003, 0.015
LOWEST_REFUSE, LOWEST_WARN = 0.5, 0.2
KINDS = {
    "lateral CXR": Kind.LATERAL,
    "abdomen X-ray": Kind.OTHER_PART,
    "hand X-ray (64px)": Kind.OTHER_PART,
}  # every other kind of picture is no radiograph at all
SERIES = re.compile(r"[-_][^-_]*$")


@dataclass(frozen=True, eq=False)
class Others:
    """Pictures of something else: (n, STORED, STORED), with what the reader says of each."""

    names: list[str]
    kinds: list[str]
    pictures: NDArray[np.uint8]
    refused: list[str]
    folds: NDArray[np.int64]

    def gate_kinds(self) -> list[Kind]:
        """What the gate shall call them."""
        return [KINDS.get(kind, Kind.NO_RADIOGRAPH) for kind in self.kinds]


def read_others(folder: Path, left_out: Sequence[str]) -> Others:
    """Every picture that `ood.csv` lists, once."""
    with (folder / "ood.csv").open(encoding="utf-8", newline="") as stream:
        listed = {row["file"]: row["kind"] for row in csv.DictReader(stream)}
    names = [name for name in listed if not name.startswith(tuple(left_out))]
    pictures, refused = [], []
    for name in names:
        try:
            pixels = np.rint(read_radiograph(folder / name).pixels * 255).astype(np.uint8)
            refused.append("")
        except PleuraError as error:
            pixels = np.asarray(cv2.imread(str(folder / name), cv2.IMREAD_GRAYSCALE), np.uint8)
            refused.append(error.code)
        pictures.append(Letterbox(*pixels.shape, STORED).apply(pixels))
    series, place = np.unique([SERIES.sub("", name) for name in names], return_inverse=True)
    folds = np.random.default_rng(SEED).integers(0, FOLDS, len(series))[place]
    kinds = [listed[name] for name in names]
    return Others(names, kinds, np.stack(pictures), refused, folds)


def read_frontal(data: Path, cache: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The training split's radiographs, (n, STORED, STORED), and their folds."""
    index = read_index(data)
    table = index.table
    rows = table[(table["split"] == "train") & table["label"].notna()].reset_index(drop=True)
    stored = open_cache(index, rows, 512, cache)
    small = [cv2.resize(p, (STORED, STORED), interpolation=cv2.INTER_AREA) for p in stored.images]
    folds = rows.set_index("image_id").loc[list(stored.image_ids), "fold"]
    return np.stack(small).astype(np.uint8), folds.to_numpy(dtype=np.int64)


def phantoms(count: int, first_seed: int = 2_000_000) -> NDArray[np.uint8]:
    """Synthetic radiographs, which the demo and the self-test judge."""
    drawn = [draw(spec_for(first_seed + i, i % 2 == 0)).pixels for i in range(count)]
    return np.stack([cv2.resize(p, (STORED, STORED), interpolation=cv2.INTER_AREA) for p in drawn])


def doubt(said: PictureScores) -> float:
    """Probability that it is not a frontal chest radiograph."""
    return 1 - said.kinds[Kind.FRONTAL]


def turned(said: PictureScores) -> float:
    """Probability that it is turned."""
    return 1 - said.turns[0]


def inverted(said: PictureScores) -> float:
    """Probability that it is inverted."""
    return said.inverted


def limit_for(values: Sequence[float]) -> Limit:
    """The limits of one fault, from what is said of radiographs without it."""
    refuse = max(LOWEST_REFUSE, float(np.quantile(values, 1 - REFUSED_SHARE)))
    warn = max(LOWEST_WARN, float(np.quantile(values, 1 - WARNED_SHARE)))
    return Limit(warn=round(min(warn, refuse), 4), refuse=round(refuse, 4))


def share(values: Sequence[float], limit: float) -> Estimate:
    """Of the values, those at the limit and above."""
    return proportion([value >= limit for value in values])


MADE: dict[str, tuple[Callable[[Picture, np.random.Generator], Picture], str]] = {
    "turned by 90 degrees": (lambda p, _: np.ascontiguousarray(np.rot90(p, 1)), TURNED),
    "turned by 180 degrees": (lambda p, _: np.ascontiguousarray(np.rot90(p, 2)), TURNED),
    "turned by 270 degrees": (lambda p, _: np.ascontiguousarray(np.rot90(p, 3)), TURNED),
    "inverted": (lambda p, _: 255 - p, INVERTED),
    "cut off (made)": (cut_off, Kind.CUT_OFF),
    "photographed (made)": (photographed, Kind.PHOTOGRAPHED),
}
PROBABILITY = {TURNED: turned, INVERTED: inverted}


def cross_validate(
    frontal: NDArray[np.uint8],
    folds: NDArray[np.int64],
    others: Others,
    train: Callable[[GatePictures, int], GateNetwork],
) -> dict[str, Any]:
    """What networks that have not seen them say: of radiographs, others, and made pictures."""
    said_frontal: list[PictureScores] = []
    said_others: list[PictureScores | None] = [None] * len(others.names)
    said_made: dict[str, list[PictureScores]] = {name: [] for name in MADE}
    kinds = others.gate_kinds()
    for fold in range(FOLDS):
        seen = np.flatnonzero(others.folds != fold)
        learned = GatePictures(
            np.concatenate([frontal[folds != fold], phantoms(PHANTOMS)]),
            others.pictures[seen],
            tuple(kinds[i] for i in seen),
        )
        network = train(learned, fold)
        held = frontal[folds == fold]
        said_frontal += scores(network, held)
        (unseen,) = np.nonzero(others.folds == fold)
        for place, said in zip(unseen, scores(network, others.pictures[unseen]), strict=True):
            said_others[place] = said
        rng = np.random.default_rng(SEED + fold)
        for name, (make, _) in MADE.items():
            said_made[name] += scores(network, [make(picture, rng) for picture in held[::4]])
    return {"frontal": said_frontal, "others": said_others, "made": said_made}


def main(arguments: Sequence[str] | None = None) -> None:
    """Cross-validate, print, train on everything, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="index of `pleura data index`")
    parser.add_argument("--others", type=Path, required=True, help="folder with ood.csv")
    parser.add_argument("--weights", type=Path, help="folder of ImageNet weights")
    parser.add_argument("--cache", type=Path, default=Path("cache/pixels"))
    parser.add_argument("--model", type=Path, help="model folder that gets the gate")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--leave-out", nargs="*", default=[], help="names of others begin with")
    parser.add_argument("-o", "--output", type=Path, help="folder for gate.json")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    others = read_others(options.others, options.leave_out)
    frontal, folds = read_frontal(options.data, options.cache)

    def train(pictures: GatePictures, seed: int) -> GateNetwork:
        return train_gate(pictures, options.weights, options.steps, seed)

    said = cross_validate(frontal, folds, others, train)
    kind_limit = limit_for([doubt(one) for one in said["frontal"]])
    limits = dict.fromkeys(FAULTS, kind_limit)
    for fault, probability in PROBABILITY.items():
        limits[fault] = limit_for([probability(one) for one in said["frontal"]])
    measured = figures(said, others, limits)
    measured |= {"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine()}
    print(table(measured))
    print(json.dumps({fault: limit.model_dump() for fault, limit in limits.items()}))
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "gate.json").write_text(json.dumps(measured, indent=2) + "\n")
    if options.model is not None:
        everything = GatePictures(
            np.concatenate([frontal, phantoms(PHANTOMS)]),
            others.pictures,
            tuple(others.gate_kinds()),
        )
        fitted_on = (
            f"{len(frontal)} frontal radiographs of the training split, {PHANTOMS} synthetic ones,"
            f" {len(others.names)} other pictures; limits by {FOLDS}-fold cross-validation"
        )
        write_gate(train(everything, FOLDS), options.model, limits, fitted_on, measured)


def figures(said: dict[str, Any], others: Others, limits: dict[str, Limit]) -> dict[str, Any]:
    """Shares with their intervals."""
    kind = limits[Kind.LATERAL]
    frontal = [doubt(one) for one in said["frontal"]]
    wrong = [
        doubt(one) >= kind.refuse
        or turned(one) >= limits[TURNED].refuse
        or inverted(one) >= limits[INVERTED].refuse
        for one in said["frontal"]
    ]
    result: dict[str, Any] = {
        "radiographs": {
            "refused": proportion(wrong).model_dump(),
            "doubt at the limit to warn": share(frontal, kind.warn).model_dump(),
        },
        "others": {},
        "made": {},
    }
    outcomes: dict[str, Counter[str]] = {}
    missed = []
    for name, group, code, one in zip(
        others.names, others.kinds, others.refused, said["others"], strict=True
    ):
        outcome = "missed"
        if code:
            outcome = "not read"
        elif doubt(one) >= kind.refuse:
            outcome = "refused"
        elif doubt(one) >= kind.warn:
            outcome = "warned"
        else:
            missed.append(name)
        outcomes.setdefault(group, Counter())[outcome] += 1
        if code and doubt(one) < kind.warn:
            outcomes[group]["of these the gate would have missed"] += 1
    result["others"] = {group: dict(counts) for group, counts in outcomes.items()}
    result["missed"] = missed
    caught = [name not in missed for name in others.names]
    result["refused or warned"] = proportion(caught).model_dump()
    for name, (_, fault) in MADE.items():
        values = [PROBABILITY.get(fault, doubt)(one) for one in said["made"][name]]
        result["made"][name] = {
            "refused": share(values, limits[fault].refuse).model_dump(),
            "warned or refused": share(values, limits[fault].warn).model_dump(),
        }
    return result


def table(measured: dict[str, Any]) -> str:
    """The figures in Markdown."""
    columns = ("not read", "refused", "warned", "missed", "of these the gate would have missed")
    lines = [
        "| other pictures | n | not read | refused | warned | missed | not read, and the gate would"
        " have missed |",
        "|---|---|---|---|---|---|---|",
    ]
    for group, counts in measured["others"].items():
        n = sum(counts.get(column, 0) for column in columns[:4])
        cells = " | ".join(str(counts.get(column, 0)) for column in columns)
        lines.append(f"| {group} | {n} | {cells} |")
    lines += ["", "| radiographs | n | refused | warned or refused |", "|---|---|---|---|"]
    for name, shares in measured["made"].items():
        lines.append(
            f"| {name} | {shares['refused']['n']} | {_text(shares['refused'])} |"
            f" {_text(shares['warned or refused'])} |"
        )
    plain = measured["radiographs"]
    lines.append(
        f"| as they are | {plain['refused']['n']} | {_text(plain['refused'])} |"
        f" {_text(plain['doubt at the limit to warn'])} |"
    )
    caught = measured["refused or warned"]
    lines += ["", f"Others refused or warned of, reader and gate together: {_text(caught)}"]
    return "\n".join(lines)


def _text(estimate: dict[str, float]) -> str:
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


if __name__ == "__main__":
    main()
