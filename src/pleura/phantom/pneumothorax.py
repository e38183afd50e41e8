"""Where the lung ends: its outline when expanded, and when gas has come between it and the wall.

The outline is kept as a distance from the hilum for every direction, so that a collapse is a change
of that distance: gas lies between the two, and everything inside the lung moves inwards with it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pleura.phantom.anatomy import Anatomy, Array
from pleura.phantom.spec import Kind, Pneumothorax

DIRECTIONS: Final = 1440
Values = NDArray[np.float64]


def _profile(kind: Kind, angle: Values, rng: np.random.Generator) -> Values:
    """Relative width of the gas by direction; 0 is lateral, -90 degrees cranial, 90 caudal."""
    if kind is Kind.APICAL:
        centre, before, after = -76 + rng.uniform(-6, 6), 46.0, 78 + rng.uniform(-8, 12)
    elif kind is Kind.LATERAL:
        centre, before, after = rng.uniform(-8, 14), 78 + rng.uniform(-8, 8), 60.0
    else:
        centre, before, after = -50 + rng.uniform(-8, 8), 58.0, 115.0
    offset = np.degrees(angle) - centre
    offset = (offset + 180) % 360 - 180
    t = np.clip(np.where(offset < 0, -offset / before, offset / after), 0, 1)
    wave = 1 + 0.06 * np.sin(3 * angle + rng.uniform(0, 6))
    wave += 0.03 * np.sin(6 * angle + rng.uniform(0, 6))
    power = 1.5 if kind is Kind.APICAL else 1.0
    result: Values = np.cos(0.5 * np.pi * t) ** power * wave
    return result


@dataclass(frozen=True, slots=True, eq=False)
class PleuralOutline:
    """One lung's outline about its hilum.

    Attributes:
        sign: -1 for the image's left side, +1 for its right.
        centre: the hilum, x and y in millimetres.
        parietal: distance of the chest wall by direction, millimetres.
        visceral: distance of the lung's surface by direction; equal to `parietal` where no gas is.
    """

    sign: int
    centre: tuple[float, float]
    parietal: Values
    visceral: Values

    @classmethod
    def of(
        cls, anatomy: Anatomy, sign: int, gas: Pneumothorax | None, rng: np.random.Generator
    ) -> "PleuralOutline":
        """Outline of one side, with the gas of `gas` if it is given.

        The width of the gas is chosen so that it takes the asked share of the lung field's area.
        """
        centre = (sign * 0.30 * anatomy.half_width, 0.44 * anatomy.dome[0])
        points = anatomy.outline(sign)
        angle = np.arctan2(points[:, 1] - centre[1], sign * (points[:, 0] - centre[0]))
        distance = np.hypot(points[:, 0] - centre[0], points[:, 1] - centre[1])
        order = np.argsort(angle)
        grid = (np.arange(DIRECTIONS) + 0.5) / DIRECTIONS * 2 * np.pi - np.pi
        parietal = np.interp(grid, angle[order], distance[order], period=2 * np.pi)
        visceral = parietal
        if gas is not None:
            visible = np.abs(np.degrees(grid) + 20) < 95
            profile = _profile(gas.kind, grid, rng)
            visceral = _narrowed(parietal, profile, visible, gas.fraction)
        return cls(sign, centre, parietal, visceral)

    def polar(self, x: Values | Array, y: Values | Array) -> tuple[Values, NDArray[np.int64]]:
        """Distance from the hilum and index of the direction."""
        dx, dy = self.sign * (x - self.centre[0]), y - self.centre[1]
        index = ((np.arctan2(dy, dx) + np.pi) * (DIRECTIONS / (2 * np.pi))).astype(np.int64)
        return np.hypot(dx, dy), np.minimum(index, DIRECTIONS - 1)

    def relative(self, x: Values, y: Values) -> Values:
        """Distance from the hilum as a share of the expanded lung's."""
        distance, index = self.polar(x, y)
        result: Values = distance / self.parietal[index]
        return result

    def collapse(self, x: Values, y: Values) -> tuple[Values, Values]:
        """Moves points of the expanded lung to where they lie in the collapsed one."""
        _, index = self.polar(x, y)
        scale = (self.visceral / self.parietal)[index]
        return (
            self.centre[0] + scale * (x - self.centre[0]),
            self.centre[1] + scale * (y - self.centre[1]),
        )

    def inside_lung(self, x: Values, y: Values) -> NDArray[np.bool_]:
        """Whether points lie inside the lung's surface."""
        distance, index = self.polar(x, y)
        result: NDArray[np.bool_] = distance < self.visceral[index] - 1.2
        return result


def _narrowed(
    parietal: Values, profile: Values, visible: NDArray[np.bool_], fraction: float
) -> Values:
    """Outline of the lung so that gas takes `fraction` of the area in the visible directions."""
    whole = float((parietal[visible] ** 2).sum())
    low, high = 0.0, float(parietal.max())
    for _ in range(40):
        width = 0.5 * (low + high)
        lung = np.clip(parietal - width * profile, 0.25 * parietal, None)
        gas = float((parietal**2 - lung**2)[visible].sum()) / whole
        low, high = (width, high) if gas < fraction else (low, width)
    result: Values = np.clip(parietal - low * profile, 0.25 * parietal, None)
    return result
