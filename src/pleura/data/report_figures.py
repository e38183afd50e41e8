"""Pictures of the report, as PNG in `data:` addresses, so that the page needs no other file."""

import base64
import io
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.data.tabulation import MaskStatistics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POSITIVE_COLOUR = "#c2410c"
_CONTOUR_RGB = (255, 140, 60)


def data_uri(png: bytes) -> str:
    """PNG bytes as an address that an `img` element takes."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _render(figure: "Figure") -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return data_uri(buffer.getvalue())


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(left=0.13, right=0.96, bottom=0.18, top=0.88)
    return figure


def area_histogram(masks: MaskStatistics) -> str:
    """Histogram of the mask areas, in per cent of the image, on a logarithmic axis."""
    figure = _figure(5.2, 2.8)
    axes = figure.add_subplot()
    percent = np.maximum(masks.area_fraction * 100.0, 1e-3)
    low, high = np.log10(percent.min()), np.log10(percent.max())
    axes.hist(percent, bins=np.logspace(low, high + 1e-6, 40).tolist(), color=POSITIVE_COLOUR)
    axes.axvline(float(np.median(percent)), color="black", linewidth=1, linestyle="--")
    axes.set_xscale("log")
    axes.set_title("Mask area (dashed: median)", loc="left", fontsize=10)
    axes.set_xlabel("% of the image", fontsize=8)
    axes.set_ylabel("masks", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return _render(figure)


def region_bars(masks: MaskStatistics, most: int = 6) -> str:
    """Bars of the number of connected regions of a mask; the last bar is `most` and more."""
    figure = _figure(5.2, 2.8)
    axes = figure.add_subplot()
    heights = np.bincount(np.minimum(masks.n_regions, most), minlength=most + 1)[1:]
    names = [*(str(i) for i in range(1, most)), f"{most}+"]
    axes.bar(names, heights, color=POSITIVE_COLOUR)
    axes.set_title("Connected regions of a mask", loc="left", fontsize=10)
    axes.set_xlabel("regions", fontsize=8)
    axes.set_ylabel("masks", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return _render(figure)


def heat_map(masks: MaskStatistics) -> str:
    """Where masks lie: the share of masks that cover each place."""
    figure = _figure(4.4, 3.8)
    axes = figure.add_subplot()
    picture = axes.imshow(masks.heat_map * 100.0, cmap="inferno", interpolation="bilinear")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title("Where masks lie", loc="left", fontsize=10)
    bar = figure.colorbar(picture, ax=axes, shrink=0.85)
    bar.set_label("% of the masks", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    return _render(figure)


def thumbnail(
    pixels: NDArray[np.float32], mask: NDArray[np.bool_] | None, side: int = 160
) -> bytes:
    """A small PNG of a radiograph with the contour of its mask.

    Args:
        pixels: float32 in [0, 1], (rows, columns).
        mask: bool on any grid of the same field of view, or None.
        side: the longer side of the result in pixels.
    """
    scale = side / max(pixels.shape)
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    grey = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    picture = np.repeat(np.round(np.clip(grey, 0, 1) * 255)[..., None], 3, axis=2).astype(np.uint8)
    if mask is not None:
        cover = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        inside = (cover >= 0.5).astype(np.uint8)
        contours, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, contours, -1, _CONTOUR_RGB, 1)
    _, png = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return bytes(png)
