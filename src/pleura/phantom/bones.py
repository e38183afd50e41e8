"""The skeleton as tubes, and the airways, in the frame of the anatomy."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pleura.phantom.anatomy import LEVEL_MM, Anatomy
from pleura.phantom.pointcloud import Tube

CORTEX: Final = 2.2
MARROW: Final = 0.55
UP: Final = np.array([0.0, 1.0, 0.0])
SIDE: Final = np.array([1.0, 0.0, 0.0])
FRONT: Final = np.array([0.0, 0.0, 1.0])
Points = NDArray[np.float64]


def spline(points: list[tuple[float, ...]], count: int = 60) -> Points:
    """A smooth curve through a few points (Catmull-Rom)."""
    p = np.asarray(points, np.float64)
    p = np.concatenate([[2 * p[0] - p[1]], p, [2 * p[-1] - p[-2]]])
    t = np.linspace(0, len(points) - 1 - 1e-9, count)
    i = t.astype(int)
    f = (t - i)[:, None]
    a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
    curve: Points = 0.5 * (
        2 * b + (c - a) * f + (2 * a - 5 * b + 4 * c - d) * f**2 + (3 * b - a - 3 * c + d) * f**3
    )
    return curve


def ribs(anatomy: Anatomy, rng: np.random.Generator) -> list[Tube]:
    """Twelve pairs, each bent along the inner chest wall and falling from back to front."""
    tubes = []
    drops = (46, 70, 88, 102, 112, 120, 126, 128, 122, 110, 76, 54)
    ends = (150, 154, 154, 153, 152, 150, 147, 140, 130, 122, 92, 60)
    height = rng.uniform(5.0, 6.0)
    for sign in (-1, 1):
        for number, (drop, end) in enumerate(zip(drops, ends, strict=True), start=1):
            start_y = anatomy.vertebra(number) - 4.0 + rng.uniform(-1, 1)
            fall = drop * anatomy.rib_drop * rng.uniform(0.96, 1.04)
            theta = np.radians(np.linspace(7, end + rng.uniform(-4, 4), 90))
            y = start_y + fall * (0.5 * (1 - np.cos(theta))) ** 1.05
            y = y + 0.12 * fall * np.clip(theta - 1.6, 0, None) ** 2
            wall = np.interp(y, LEVEL_MM, anatomy.outer) * anatomy.half_width_of(sign) + 2.2
            deep = np.interp(y, LEVEL_MM, anatomy.depth) * 0.98 + 3.0
            x = sign * wall * np.sin(theta) ** 0.8
            z = -deep * np.cos(theta)
            outward = np.stack([sign * np.sin(theta), 0 * theta, -np.cos(theta)], axis=1)
            taper = np.interp(theta, [0, 0.5, 2.2, theta[-1]], [0.75, 1.0, 1.0, 1.1])
            slim = 1.0 if number < 11 else 0.75
            radii = np.stack([3.1 * slim * taper, height * slim * taper], axis=1)
            fade = np.interp(theta, [0, 1.3, 2.0, theta[-1]], [1.0, 1.0, 0.72, 0.45])
            path = np.stack([x, y, z], axis=1)
            tubes.append(Tube(path, radii, outward, 0.75 * CORTEX, MARROW, fade))
    return tubes


def spine(anatomy: Anatomy, rng: np.random.Generator) -> list[Tube]:
    """Vertebral bodies with end plates, pedicles, spinous and transverse processes."""
    tubes = []
    for number in range(-3, 16):
        y, pitch = anatomy.vertebra(number), anatomy.vertebra(number + 0.5)
        half = 0.41 * 2 * (pitch - y)
        bend = 1.5 * np.sin(0.35 * number + anatomy.asymmetry)
        wide = np.interp(number, [-5, 0, 1, 6, 12, 16], [11, 12, 14.5, 14, 18.5, 22])
        back = -0.62 * anatomy.half_depth
        level = np.linspace(-half, half, 12)
        waist = 1 - 0.10 * (1 - (level / half) ** 2)
        path = np.stack([bend + 0 * level, y + level, back + 0 * level], axis=1)
        radii = np.stack([wide * waist, 0.72 * wide * waist], axis=1)
        tubes.append(Tube(path, radii, SIDE, 0.5 * CORTEX, 0.16))
        for end in (-half, half):
            plate = np.array([[bend, y + end - 0.5, back], [bend, y + end + 0.5, back]])
            full = np.array([wide, 0.72 * wide])
            tubes.append(Tube(plate, full, SIDE, 0.0, 0.9))
        for sign in (-1, 1):
            px = bend + sign * 0.62 * wide
            pedicle = np.array([[px, y - 2.5, back - 10.0], [px, y - 2.5, back - 19.0]])
            tubes.append(
                Tube(
                    pedicle,
                    np.array([2.8, 4.8]) * rng.uniform(0.85, 1.15, 2),
                    SIDE,
                    0.28 * CORTEX,
                    -0.03,
                )
            )
            reach = wide + rng.uniform(11, 14)
            tip = [(px, y - 3, back - 19), (bend + sign * reach, y - 6, back - 26)]
            process = spline([*tip[:1], (bend + sign * 0.8 * reach, y - 5, back - 24), tip[1]], 12)
            tubes.append(Tube(process, np.array([3.4, 3.0]), UP, 0.45 * CORTEX, 0.1))
        lean = bend + rng.uniform(-1, 1)
        spinous = np.array([[lean, y + 2.0, back - 26.0], [lean, y + 9.0, back - 46.0]])
        tubes.append(Tube(spinous, np.array([2.6, 5.5]), SIDE, 0.55 * CORTEX, 0.0))
    return tubes


def shoulders(anatomy: Anatomy, rng: np.random.Generator) -> list[Tube]:
    """Clavicles, the borders of the scapulae, and the upper ends of the humeri."""
    tubes = []
    for sign in (-1, 1):
        high = anatomy.shoulder_y + rng.uniform(-4, 4)
        inner = high + anatomy.clavicle_drop + rng.uniform(-4, 4)
        clavicle = spline([
            (sign * 15, inner + 1, 70), (sign * 24, inner - 1, 70),
            (sign * 52, inner - 0.40 * anatomy.clavicle_drop, 72),
            (sign * 98, high - 4, 40), (sign * 132, high - 12, 10), (sign * 156, high - 12, -5),
        ])  # fmt: skip
        s = np.linspace(0, 1, len(clavicle))
        thick = np.interp(s, [0, 0.03, 0.14, 0.5, 0.85, 1], [5.5, 8.2, 6.2, 5.2, 6.0, 4.0])
        radii = np.stack([thick, 0.85 * thick], axis=1)
        tubes.append(Tube(clavicle, radii, UP, 0.85 * CORTEX, MARROW))

        out = 0.0 if not anatomy.ap else -9.0
        gx, gy = 147.0 + out, high + 34.0
        lateral = spline([
            (sign * gx, gy + 6, -40), (sign * (gx - 10), gy + 40, -60),
            (sign * (gx - 17), gy + 82, -75), (sign * (gx - 22), gy + 112, -80),
        ])  # fmt: skip
        thin = np.interp(np.linspace(0, 1, len(lateral)), [0, 0.3, 1], [5.5, 3.6, 2.0])
        tubes.append(Tube(lateral, np.stack([thin, thin], 1), SIDE, 0.5 * CORTEX, 0.1))
        ridge = spline([
            (sign * (gx - 52), high + 14, -85), (sign * (gx - 28), high + 4, -80),
            (sign * (gx - 2), high - 8, -60), (sign * (gx + 22), high - 6, -35),
        ])  # fmt: skip
        tubes.append(Tube(ridge, np.array([3.2, 6.0]), UP, 0.5 * CORTEX, 0.05))
        medial = spline([
            (sign * (gx - 54), high + 12, -88), (sign * (gx - 58), high + 55, -92),
            (sign * (gx - 42), high + 110, -88), (sign * (gx - 23), gy + 113, -82),
        ])  # fmt: skip
        tubes.append(Tube(medial, np.array([1.6, 2.0]), SIDE, 0.35 * CORTEX, 0.0))
        coracoid = spline([
            (sign * (gx - 10), gy - 16, -28), (sign * (gx - 14), gy - 19, -16),
            (sign * (gx - 11), gy - 14, -8),
        ])  # fmt: skip
        tubes.append(Tube(coracoid, np.array([5.5, 7.5]), SIDE, 0.3 * CORTEX, 0.15))
        socket = np.array([[sign * (gx - 1), gy, -36.0], [sign * (gx + 1), gy, -28.0]])
        tubes.append(Tube(socket, np.array([6.0, 17.0]), SIDE, 0.5 * CORTEX, 0.1))

        elbow = 178.0 + anatomy.arm_spread
        shaft = spline([
            (sign * (gx + 22), gy - 24, -30), (sign * (gx + 23), gy + 4, -30),
            (sign * (gx + 28), gy + 36, -30), (sign * (0.4 * (gx + 28) + 0.6 * elbow), 175, -28),
            (sign * elbow, 280, -25),
        ], 240)  # fmt: skip
        far = np.linalg.norm(np.diff(shaft, axis=0), axis=1).cumsum()
        far = np.concatenate([[0.0], far])
        head = 22.5 * np.sqrt(np.clip(1 - (1 - far / 22.5) ** 2, 0.01, 1))
        neck = np.interp(far, [0, 26, 40, 58, 80, 300], [40, 22.5, 18.5, 13.5, 11.5, 11])
        bone = np.minimum(np.where(far < 22.5, head, 40.0), neck)
        tubes.append(Tube(shaft, np.stack([bone, 0.9 * bone], 1), SIDE, 0.8 * CORTEX, 0.07))
    return tubes


def airways(anatomy: Anatomy, rng: np.random.Generator) -> list[Tube]:
    """Trachea and main bronchi: tubes of air with a thin wall."""
    carina = 66.0 + rng.uniform(-5, 8)
    drift = rng.uniform(-5, 1)
    width = rng.uniform(7.5, 9.0)
    trachea = spline([(0, -140, 15), (0, -40, 12), (0.5 * drift, 10, 5), (drift, carina, -5)])
    tubes = [Tube(trachea, np.array([width, width]), SIDE, 0.3, -0.85)]
    for sign, reach, low in ((-1, 30.0, 26.0), (1, 42.0, 28.0)):
        path = spline([
            (drift, carina - 3, -5), (drift + sign * 0.5 * reach, carina + 0.55 * low, -8),
            (sign * reach, carina + low, -12),
        ], 20)  # fmt: skip
        radii = np.array([0.72 * width, 0.72 * width])
        tubes.append(Tube(path, radii, FRONT, 0.3, -0.7))
    return tubes
