"""One film on one page: picture, finding, what it means, and what it is not."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader, simpleSplit
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from pleura.app import words
from pleura.app.rendering import mask_of
from pleura.inference import OperatingPoint
from pleura.outputs import PredictionRecord
from pleura.outputs.overlay import CONTOUR

MARGIN = 16 * mm
MOST_REGIONS = 5
MOST_WARNINGS = 6
_INK, _FAINT, _ALARM = HexColor("#1a1a1a"), HexColor("#595959"), HexColor("#a84300")
_LONGEST_SIDE = 1400
_WIDTH, _HEIGHT = A4
_REGULAR, _BOLD = "Helvetica", "Helvetica-Bold"


@dataclass(frozen=True, slots=True)
class Page:
    """What stands on the page.

    Attributes:
        title: what the film is called.
        patient: who it is of; empty unless the reader asked for it.
        record: the result.
        point: the operating point that decided.
        pixels: float32, (rows, columns), in [0, 1].
        made: when, in words.
    """

    title: str
    patient: str
    record: PredictionRecord
    point: OperatingPoint
    pixels: NDArray[np.float32]
    made: str


def make_pdf(page: Page) -> bytes:
    """The bytes of a PDF of exactly one page.

    Texts that are too long for their place are cut with an ellipsis; letters that the standard
    fonts lack are shown as `?`.
    """
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=A4, invariant=1)
    canvas.setTitle("Pleura: result of one film")
    writer = _Writer(canvas)
    writer.line(f"{words.DISCLAIMER} Not a medical device.", 11, _BOLD, _ALARM)
    writer.line(page.title, 15, _BOLD)
    if page.patient:
        writer.line(page.patient, 10)
    writer.skip(2 * mm)
    colour = _ALARM if page.record.present else _INK
    writer.line(
        f"{words.finding(page.record)}: {words.probability(page.record)}", 14, _BOLD, colour
    )
    writer.skip(1 * mm)
    writer.picture(_drawn(page.pixels, page.record), 128 * mm)
    for heading, lines in _sections(page):
        writer.section(heading, lines)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _sections(page: Page) -> list[tuple[str, list[str]]]:
    record, point = page.record, page.point
    regions = [words.region_in_words(region) for region in record.regions[:MOST_REGIONS]]
    if len(record.regions) > MOST_REGIONS:
        regions.append(f"and {len(record.regions) - MOST_REGIONS} smaller ones")
    warnings = [notice.message for notice in record.quality.warnings]
    left_out = len(warnings) - MOST_WARNINGS
    warnings = warnings[:MOST_WARNINGS] + ([f"and {left_out} more"] if left_out > 0 else [])
    model = record.model
    return [
        ("Where", regions or ["Nothing is outlined."]),
        (
            f"Operating point '{point.name}'",
            [words.point_in_words(point), words.cohort_in_words(point)],
        ),
        ("Warnings", warnings or ["None."]),
        (
            "Model",
            [
                f"{model.name} {model.version}, manifest {model.sha256[:16]}. {page.made}."
                f" {words.timings_in_words(record)}."
            ],
        ),
    ]


def _drawn(pixels: NDArray[np.float32], record: PredictionRecord) -> NDArray[np.uint8]:
    """The film with the outline, no larger than a page can show; blue-green-red."""
    rows, columns = pixels.shape
    scale = min(1.0, _LONGEST_SIDE / max(rows, columns))
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    small = cv2.resize(np.clip(pixels, 0, 1), size, interpolation=cv2.INTER_AREA)
    picture = cv2.cvtColor(np.rint(small * 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)
    if record.mask.area_px:
        mask = cv2.resize(mask_of(record).view(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        found, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, found, -1, CONTOUR, 3, lineType=cv2.LINE_AA)
    return np.asarray(picture, dtype=np.uint8)


class _Writer:
    """Goes down the page, and stops above its foot."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._top = _HEIGHT - MARGIN

    def line(self, text: str, size: float, font: str = _REGULAR, colour: HexColor = _INK) -> None:
        """One line, cut at the margin."""
        self._text(_cut(_latin(text), size, font), size, font, colour)

    def section(self, heading: str, lines: Sequence[str]) -> None:
        """A heading with its lines, broken between words."""
        self.skip(1.5 * mm)
        self.line(heading, 9.5, _BOLD, _FAINT)
        for text in lines:
            for part in simpleSplit(_latin(text), _REGULAR, 9.5, _WIDTH - 2 * MARGIN):
                self.line(part, 9.5)

    def picture(self, picture: NDArray[np.uint8], height: float) -> None:
        """A picture as wide as the page allows, and not higher than `height`."""
        rows, columns = picture.shape[:2]
        scale = min(height / rows, (_WIDTH - 2 * MARGIN) / columns)
        self._top -= rows * scale
        done, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 92])
        if not done:
            raise OSError("the picture cannot be encoded")
        image = ImageReader(io.BytesIO(encoded.tobytes()))
        left = (_WIDTH - columns * scale) / 2
        self._canvas.drawImage(image, left, self._top, columns * scale, rows * scale)
        self.skip(2 * mm)

    def skip(self, height: float) -> None:
        """Leave some room."""
        self._top -= height

    def _text(self, text: str, size: float, font: str, colour: HexColor) -> None:
        if self._top - 1.3 * size < MARGIN:
            return
        self._top -= 1.3 * size
        self._canvas.setFont(font, size)
        self._canvas.setFillColor(colour)
        self._canvas.drawString(MARGIN, self._top, text)


def _latin(text: str) -> str:
    return text.replace("≥", ">=").encode("cp1252", "replace").decode("cp1252")


def _cut(text: str, size: float, font: str) -> str:
    room = _WIDTH - 2 * MARGIN
    if stringWidth(text, font, size) <= room:
        return text
    while text and stringWidth(text + "…", font, size) > room:
        text = text[:-1]
    return text + "…"
