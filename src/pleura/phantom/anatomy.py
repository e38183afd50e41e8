"""The shape of one chest in millimetres, chosen by the seed.

Frame: x to the image's right (the patient's left) from the midline, y downwards from the top of the
lung apices, z towards the sternum. `sign` is -1 for the image's left side and +1 for its right.
Lengths are those of adults as measured on frontal radiographs: inner thoracic width 23 to 29 cm,
lung height 20 to 25 cm, cardiothoracic ratio 0.40 to 0.55.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pleura.phantom.spec import PhantomSpec, Sex, View

Array = NDArray[np.float32]
Curve = NDArray[np.float64]

LEVEL_MM: Final = np.arange(-120.0, 421.0, 1.0)
APEX_X: Final = 0.31


def _smooth(values: Curve, sigma_mm: float) -> Curve:
    reach = int(3 * sigma_mm)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_mm) ** 2)
    padded = np.pad(values, reach, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid")


@dataclass(frozen=True)
class Anatomy:
    """Lengths in millimetres of one chest, and the curves that follow from them."""

    half_width: float
    half_depth: float
    wall: float
    asymmetry: float
    rotation: float
    tilt: float
    dome: tuple[float, float]
    heart: float
    aorta: float
    shoulder_y: float
    arm_spread: float
    rib_drop: float
    clavicle_drop: float
    breast: float
    apex_shape: float
    ap: bool

    @classmethod
    def of(cls, spec: PhantomSpec) -> "Anatomy":
        """Draws the lengths from the spec's seed."""
        rng = spec.rng(1)
        male, ap = spec.sex is Sex.MALE, spec.view is View.AP
        half_width = (134 if male else 124) * rng.uniform(0.9, 1.07)
        breath = rng.uniform(-22, 14) - (14 if ap else 0)
        return cls(
            half_width=half_width,
            half_depth=(90 if male else 82) * rng.uniform(0.93, 1.07),
            wall=14.0 + 22.0 * float(rng.random()) ** 2,
            asymmetry=rng.uniform(-3, 3),
            rotation=rng.uniform(-0.10, 0.10),
            tilt=rng.uniform(-0.045, 0.045),
            dome=(212 + breath, 212 + breath + rng.uniform(6, 20)),
            heart=rng.uniform(0.84, 1.12) * (1.12 if ap else 1.0),
            aorta=1.0 + 0.004 * (spec.age_years - 45) + rng.uniform(-0.05, 0.1),
            shoulder_y=rng.uniform(0, 22),
            arm_spread=rng.uniform(34, 70),
            rib_drop=rng.uniform(0.85, 1.12),
            clavicle_drop=rng.uniform(18, 34) - (6 if ap else 0),
            breast=rng.uniform(0.1, 0.3) if male else rng.uniform(0.5, 1.4),
            apex_shape=rng.uniform(2.3, 3.1),
            ap=ap,
        )

    @cached_property
    def outer(self) -> Curve:
        """Inner chest wall: distance from the midline at each level of `LEVEL_MM`."""
        apex = APEX_X * self.half_width
        t = np.clip(LEVEL_MM / 185.0, 0.0, None)
        rise = np.clip(1.0 - np.clip(1.0 - t, 0.0, 1.0) ** self.apex_shape, 0.0, None) ** 0.53
        narrowing = 1.0 - 0.05 * np.clip(t - 1.0, 0.0, None) ** 2
        return (apex + (self.half_width - apex) * rise) * narrowing

    @cached_property
    def inner(self) -> Curve:
        """Medial limit of the pleural space at each level, from the apex down to the midline."""
        apex = APEX_X * self.half_width
        t = np.clip(LEVEL_MM / 26.0, 0.0, 1.0)
        return apex - (apex - 19.0) * np.sqrt(1.0 - (1.0 - t) ** 2)

    @cached_property
    def depth(self) -> Curve:
        """Half the depth of the pleural space at each level."""
        t = np.clip(LEVEL_MM / 150.0, 0.0, 1.0)
        return 26.0 + (self.half_depth - 26.0) * (1.0 - (1.0 - t) ** 2) ** 0.85

    @cached_property
    def mediastinum(self) -> tuple[Curve, Curve]:
        """Distance of the mediastinal border from the midline: image left, image right."""
        h, a = self.heart, self.aorta
        base = self.dome[1] - 212.0
        y = [-40, 5, 30, 50, 64, 78, 90, 108, 130, 158, 185, 208, 235]
        levels = [v + base * max(v - 60, 0) / 150 for v in y]
        left = [16, 17, 19, 22, 23, 22, 24, 28, 32 * h, 38 * h, 41 * h, 39 * h, 34]
        right = [16, 17, 20, 24 * a, 31 * a, 29 * a, 25, 30, 41 * h, 56 * h, 69 * h, 74 * h, 66 * h]
        shift = 0.35 * self.rotation * self.half_depth
        left_curve = _smooth(np.interp(LEVEL_MM, levels, left), 5.0) - shift
        right_curve = _smooth(np.interp(LEVEL_MM, levels, right), 5.0) + shift
        return left_curve, right_curve

    def at(self, curve: Curve, y: Array) -> Array:
        """A curve over `LEVEL_MM` at the levels y."""
        index = (y - np.float32(LEVEL_MM[0])).clip(0, len(LEVEL_MM) - 1.001)
        whole = index.astype(np.int32)
        values = curve.astype(np.float32)
        low = values[whole]
        return low + (index - whole) * (values[whole + 1] - low)

    def half_width_of(self, sign: int) -> float:
        """Factor on `outer` for one side: no thorax is quite symmetric."""
        return 1.0 + sign * self.asymmetry / self.half_width

    def dome_level(self, sign: int, x: Array) -> Array:
        """Level of the top of the diaphragm at distance x from the midline, on one side."""
        top = self.dome[0] if sign < 0 else self.dome[1]
        t = (x - 0.5 * self.half_width) / (0.5 * self.half_width)
        level: Array = (top + np.where(t > 0, 42.0 * np.abs(t) ** 2.7, 13.0 * t**2)).astype(
            np.float32
        )
        return level

    def vertebra(self, number: float) -> float:
        """Level of the centre of a thoracic vertebra (1 to 12; 0 and below are cervical)."""
        n = number - 1.0
        return -6.0 + 19.0 * n + 0.42 * n * abs(n)

    def outline(self, sign: int) -> NDArray[np.float64]:
        """Outline of one pleural space, (points, 2) as x, y, from the medial base over the apex."""
        lowest = self.dome[0] + 75.0
        inside = (LEVEL_MM >= 0.0) & (lowest >= LEVEL_MM)
        y = LEVEL_MM[inside]
        outer = self.outer[inside] * self.half_width_of(sign)
        inner = self.inner[inside]
        x = np.concatenate([inner[::-1], outer])
        return np.stack([sign * x, np.concatenate([y[::-1], y])], axis=1)
