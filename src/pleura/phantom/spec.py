"""What a phantom shows: everything that can be asked for, and a reproducible choice of it."""

from dataclasses import dataclass, field
from enum import StrEnum
from operator import index
from typing import Final, SupportsIndex

import numpy as np
from numpy.typing import NDArray

MIN_SIDE_PX: Final = 128
MAX_SIDE_PX: Final = 4096
MAX_EXTENT: Final = 0.6
MAX_AGE_YEARS: Final = 999


class Side(StrEnum):
    """Side of the image, not of the patient: the patient's right lung lies on the image's left."""

    LEFT = "left"
    RIGHT = "right"


class Kind(StrEnum):
    """Where the gas lies."""

    APICAL = "apical"
    LATERAL = "lateral"
    LARGE = "large"


class View(StrEnum):
    """ViewPosition (0018,5101) of a frontal radiograph."""

    PA = "PA"
    AP = "AP"


class Sex(StrEnum):
    """PatientSex (0010,0040)."""

    FEMALE = "F"
    MALE = "M"


EXTENTS: Final[dict[str, float]] = {"small": 0.045, "medium": 0.10, "large": 0.26}


@dataclass(frozen=True, slots=True)
class Pneumothorax:
    """Gas between the chest wall and one lung.

    Attributes:
        side: side of the image.
        kind: apical crescent, lateral band, or a large one that reaches from the apex to the base.
        extent: "small", "medium", "large", or the share of the side's lung field that the gas
            takes in the projection, in (0, 0.6].

    Raises:
        ValueError: for an unknown side, kind or extent.
    """

    side: Side
    kind: Kind = Kind.APICAL
    extent: str | float = "medium"

    def __post_init__(self) -> None:
        object.__setattr__(self, "side", Side(self.side))
        object.__setattr__(self, "kind", Kind(self.kind))
        if isinstance(self.extent, str) and self.extent not in EXTENTS:
            raise ValueError(f"extent must be one of {', '.join(EXTENTS)} or a number")
        # UIDs are made from the text of a spec, so equal numbers must read alike.
        plain = str if isinstance(self.extent, str) else float
        object.__setattr__(self, "extent", plain(self.extent))
        if not 0 < self.fraction <= MAX_EXTENT:
            raise ValueError(f"extent must lie in (0, {MAX_EXTENT}], not {self.extent}")

    @property
    def fraction(self) -> float:
        """Share of the side's projected lung field that is gas."""
        return EXTENTS[self.extent] if isinstance(self.extent, str) else float(self.extent)


@dataclass(frozen=True, slots=True)
class PhantomSpec:
    """One phantom. Equal specs give equal phantoms.

    The anatomy follows from `seed`, `view` and `sex` alone, so that a spec with and one without a
    pneumothorax show the same patient.

    Attributes:
        seed: not negative.
        pneumothorax: None for a normal chest.
        rows: height in pixels.
        columns: width in pixels; the field of view keeps its scale, a narrow image is cut.
        view: PA (standing) or AP (portable: larger heart, shallower breath, higher clavicles).
        sex: decides on breast shadows and on the size of the thorax.
        age_years: whole years, for the header and for how wide the aorta is.

    Raises:
        ValueError: for a number that is not whole, a negative seed, an image side outside
            [128, 4096] or an age outside [0, 999] (PS3.5 6.2, Age String).
    """

    seed: int
    pneumothorax: Pneumothorax | None = None
    rows: int = 1024
    columns: int = 1024
    view: View = View.PA
    sex: Sex = Sex.MALE
    age_years: int = 45

    def __post_init__(self) -> None:
        object.__setattr__(self, "view", View(self.view))
        object.__setattr__(self, "sex", Sex(self.sex))
        for name in ("seed", "rows", "columns", "age_years"):
            object.__setattr__(self, name, _whole(name, getattr(self, name)))
        if self.seed < 0:
            raise ValueError("seed must not be negative")
        if not all(MIN_SIDE_PX <= side <= MAX_SIDE_PX for side in (self.rows, self.columns)):
            raise ValueError(f"rows and columns must lie in [{MIN_SIDE_PX}, {MAX_SIDE_PX}]")
        if not 0 <= self.age_years <= MAX_AGE_YEARS:
            raise ValueError(f"age_years must lie in [0, {MAX_AGE_YEARS}]")

    def rng(self, stream: int) -> np.random.Generator:
        """Random numbers of one part of the drawing, independent of the other parts."""
        return np.random.default_rng([self.seed, stream])


@dataclass(frozen=True, slots=True, eq=False)
class Phantom:
    """A drawn phantom.

    Attributes:
        pixels: uint8, (rows, columns), MONOCHROME2: air is black and bone is bright.
        mask: bool, (rows, columns): exactly the pixels where gas shows between lung and chest wall.
        spec: what was drawn.
        spacing_mm: distance of the pixel centres, rows and columns alike, at the detector.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    spec: PhantomSpec
    spacing_mm: float = field(default=0.4)


def _whole(name: str, value: SupportsIndex) -> int:
    """A whole number of any type (numpy's too) as int."""
    try:
        return int(index(value))
    except TypeError:
        raise ValueError(f"{name} must be a whole number, not {value!r}") from None


def spec_for(seed: int, pneumothorax: bool) -> PhantomSpec:
    """Chooses view, sex, age and, if wanted, side, kind and extent of the gas from the seed.

    Args:
        seed: not negative; the same seed gives the same patient with and without pneumothorax.
        pneumothorax: whether the phantom shall have one.

    Raises:
        ValueError: for a negative seed.
    """
    if seed < 0:
        raise ValueError("seed must not be negative")
    rng = np.random.default_rng([seed, 0])
    view = View.PA if rng.random() < 0.75 else View.AP
    sex = Sex.MALE if rng.random() < 0.55 else Sex.FEMALE
    age = int(rng.integers(18, 85))
    side = Side.LEFT if rng.random() < 0.55 else Side.RIGHT
    kind = (Kind.APICAL, Kind.LATERAL, Kind.LARGE)[int(rng.choice(3, p=[0.65, 0.15, 0.2]))]
    fraction = float(np.exp(rng.uniform(np.log(0.05), np.log(0.11))))
    if kind is Kind.LARGE:
        fraction = float(rng.uniform(0.14, 0.28))
    gas = Pneumothorax(side, kind, round(fraction, 3)) if pneumothorax else None
    return PhantomSpec(seed=seed, pneumothorax=gas, view=view, sex=sex, age_years=age)
