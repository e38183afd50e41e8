"""Pictures that the input gate must know, made from radiographs: turned, cut off, photographed.

All pictures are uint8, (side, side), bone bright; every random number comes from the generator
that is given.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def cut_off(picture: Picture, rng: np.random.Generator) -> Picture:
    """A part of a radiograph that lacks half of a lung or more: one side, one end, or a detail."""
    side = picture.shape[0]
    if rng.random() < 0.5:
        size = int(side * rng.uniform(0.3, 0.55))
        top, left = rng.integers(0, side - size, 2)
        part = picture[top : top + size, left : left + size]
    else:
        kept = int(side * rng.uniform(0.4, 0.62))
        first = 0 if rng.random() < 0.5 else side - kept
        part = picture[first : first + kept] if rng.random() < 0.5 else picture[:, first:][:, :kept]
    fills = rng.random() < 0.7  # else it keeps its size, as under a wrong collimation
    return centred(part, side, enlarge=fills)


def photographed(picture: Picture, rng: np.random.Generator) -> Picture:
    """A radiograph on a screen or a light box, photographed: perspective, frame, moire, glare."""
    side = picture.shape[0]
    corners = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
    margin = rng.uniform(0.08, 0.3)
    seen = corners * (1 - margin) + margin * side / 2 + rng.uniform(-0.1, 0.1, (4, 2)) * side
    matrix = cv2.getPerspectiveTransform(corners, seen.astype(np.float32))
    inside = cv2.warpPerspective(np.full_like(picture, 255), matrix, (side, side))
    room = rng.uniform(20, 230) + cv2.resize(
        rng.normal(0, 25, (4, 4)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC
    )
    frame = cv2.dilate(inside, np.ones((2 * int(rng.integers(2, 9)) + 1,) * 2, np.uint8)) > 0
    room[frame] = rng.uniform(5, 60) if rng.random() < 0.8 else rng.uniform(180, 250)
    screen = cv2.warpPerspective(picture, matrix, (side, side)).astype(np.float32)
    screen *= 1 + rng.uniform(0, 0.15) * _waves(side, rng)
    if rng.random() < 0.6:
        screen += rng.uniform(40, 150) * _spot(side, rng)
    share = inside.astype(np.float32) / 255
    return np.clip(screen * share + room * (1 - share), 0, 255).astype(np.uint8)


def _waves(side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Stripes, as two grids of pixels make them."""
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    angle, frequency = rng.uniform(0, np.pi), rng.uniform(0.15, 0.9)
    waves = np.sin(frequency * (columns * np.cos(angle) + rows * np.sin(angle)))
    return np.asarray(waves, np.float32)


def _spot(side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A lamp's reflection."""
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    row, column = rng.uniform(0, side, 2)
    width = side * rng.uniform(0.05, 0.25)
    distance = (rows - row) ** 2 + (columns - column) ** 2
    return np.asarray(np.exp(-distance / (2 * width**2)), np.float32)


def varied(picture: Picture, rng: np.random.Generator, zoom: tuple[float, float]) -> Picture:
    """Another detector, technician or archive: place, aspect, tone, sharpness, compression, marks.

    Args:
        picture: of any kind.
        rng: the only source of randomness.
        zoom: smallest and largest magnification.
    """
    picture = _placed(picture, rng, zoom)
    if rng.random() < 0.3:
        picture = _narrowed(picture, rng)
    if rng.random() < 0.5:
        picture = np.ascontiguousarray(picture[:, ::-1])
    picture = _degraded(_toned(picture, rng), rng)
    return _marked(picture, rng) if rng.random() < 0.4 else picture


def _placed(picture: Picture, rng: np.random.Generator, zoom: tuple[float, float]) -> Picture:
    side = picture.shape[0]
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), rng.uniform(-12, 12), rng.uniform(*zoom))
    matrix[:, 2] += rng.uniform(-0.06, 0.06, 2) * side
    border = int(rng.integers(0, 256)) if rng.random() < 0.1 else 0
    moved = cv2.warpAffine(picture, matrix, (side, side), borderValue=border)
    return np.asarray(moved, np.uint8)


def _narrowed(picture: Picture, rng: np.random.Generator) -> Picture:
    """A picture that is not square, in its black letterbox."""
    side = picture.shape[0]
    size = int(side * rng.uniform(0.75, 0.97))
    first = int(rng.integers(0, side - size + 1))
    upright = rng.random() < 0.5
    part = picture[:, first : first + size] if upright else picture[first : first + size]
    return centred(part, side, enlarge=False)


def _toned(picture: Picture, rng: np.random.Generator) -> Picture:
    values = np.linspace(0, 1, 256)
    if rng.random() < 0.5:
        low, high = np.percentile(picture, [1, 99]) / 255
        values = np.clip((values - low) / max(high - low, 0.05), 0, 1)
    values = values ** np.exp(rng.uniform(np.log(0.5), np.log(2)))
    values = (values - 0.5) * rng.uniform(0.6, 1.3) + 0.5 + rng.uniform(-0.12, 0.12)
    table = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return np.asarray(table[picture], np.uint8)


def _degraded(picture: Picture, rng: np.random.Generator) -> Picture:
    side = picture.shape[0]
    if rng.random() < 0.3:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.5)), np.uint8)
    if rng.random() < 0.3:
        noise = rng.normal(0, 255 * rng.uniform(0, 0.06), (side, side))
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:  # some other pictures are small: what is small must not look wrong
        size = int(side * rng.uniform(0.35, 0.7))
        small = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
        picture = np.asarray(cv2.resize(small, (side, side)), np.uint8)
    if rng.random() < 0.4:
        quality = int(rng.integers(25, 95))
        _, stream = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        picture = np.asarray(cv2.imdecode(stream, cv2.IMREAD_GRAYSCALE), np.uint8)
    return picture


def _marked(picture: Picture, rng: np.random.Generator) -> Picture:
    """Letters, as on films of every kind."""
    side = picture.shape[0]
    picture = picture.copy()
    for _ in range(int(rng.integers(1, 3))):
        text = str(rng.choice(["L", "R", "AP", "PORTABLE"]))
        place = (int(rng.integers(0, side * 4 // 5)), int(rng.integers(side // 16, side)))
        grey, scale = int(rng.choice([0, 255])), side / 160 * rng.uniform(0.2, 0.6)
        cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, grey, 1)
    return picture


def centred(part: Picture, side: int, enlarge: bool) -> Picture:
    """A part in the middle of a black square: enlarged to two of its borders, or as it is."""
    if enlarge:
        factor = side / max(part.shape)
        part = np.asarray(cv2.resize(part, None, fx=factor, fy=factor), np.uint8)[:side, :side]
    rows, columns = part.shape
    square = np.zeros((side, side), np.uint8)
    top, left = (side - rows) // 2, (side - columns) // 2
    square[top : top + rows, left : left + columns] = part
    return square
