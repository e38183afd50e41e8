"""Numbers about an image's rim and its finest structure that say nothing of the lungs.

All take a uint8 image (side, side) on the network's scale.
"""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

_BLOCK = 8
_BANDS = {"low": (1, 3), "middle": (4, 6), "high": (7, 10), "top": (11, 14)}
_RING_EDGES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.71)


def border_statistics(image: NDArray[np.uint8], rim_fraction: float = 0.03) -> dict[str, float]:
    """Grey level, spread and gradients of the outermost rim, by side."""
    rim = max(2, round(rim_fraction * image.shape[0]))
    pixels = image.astype(np.float32)
    sides = {
        "top": pixels[:rim],
        "bottom": pixels[-rim:],
        "left": pixels[:, :rim].T,
        "right": pixels[:, -rim:].T,
    }
    result: dict[str, float] = {}
    for name, strip in sides.items():
        result[f"{name}_mean"] = float(strip.mean())
        result[f"{name}_std"] = float(strip.std())
        result[f"{name}_gradient_along"] = float(np.abs(np.diff(strip, axis=1)).mean())
        result[f"{name}_gradient_across"] = float(np.abs(np.diff(strip, axis=0)).mean())
        result[f"{name}_black"] = float((strip < 8).mean())
        result[f"{name}_white"] = float((strip > 247).mean())
    return result


def frequency_statistics(image: NDArray[np.uint8]) -> dict[str, float]:
    """Blockiness, cosine bands, noise residual and spectrum: what compression leaves behind."""
    pixels = image.astype(np.float32)
    spread = float(pixels.std()) + 1e-3
    return {
        **_blockiness(pixels),
        **_cosine_bands(pixels),
        **_residual(image, spread),
        **_spectrum(pixels),
    }


def _blockiness(pixels: NDArray[np.float32]) -> dict[str, float]:
    """Steps across block borders relative to steps elsewhere, for blocks of 2, 4 and 8 pixels.

    Blocks of 8 pixels at 1024 and at 512 pixels come to 2 and 4 pixels on a side of 256.
    """
    result: dict[str, float] = {}
    for axis, name in ((1, "columns"), (0, "rows")):
        steps = np.abs(np.diff(pixels, axis=axis)).mean(axis=1 - axis)
        for period in (2, 4, 8):
            at_border = np.arange(1, steps.size + 1) % period == 0
            ratio = steps[at_border].mean() / (steps[~at_border].mean() + 1e-3)
            result[f"blockiness_{period}_{name}"] = float(ratio)
    return result


def _cosine_bands(pixels: NDArray[np.float32]) -> dict[str, float]:
    """Power and share of small coefficients by band of the 8 x 8 cosine transform."""
    side = pixels.shape[0] // _BLOCK * _BLOCK
    blocks = pixels[:side, :side].reshape(side // _BLOCK, _BLOCK, -1, _BLOCK).swapaxes(1, 2)
    basis = _cosine_basis()
    size = np.abs(basis @ blocks @ basis.T).reshape(-1, _BLOCK, _BLOCK)
    squares = np.square(size)
    power, zero, small = squares.mean(axis=0), (size < 0.5).mean(axis=0), (size < 1.5).mean(axis=0)
    band_of = np.add.outer(np.arange(_BLOCK), np.arange(_BLOCK))
    result: dict[str, float] = {}
    log_power: dict[str, float] = {}
    for name, (first, last) in _BANDS.items():
        chosen = (band_of >= first) & (band_of <= last)
        log_power[name] = float(np.log(power[chosen].mean() + 1e-3))
        result[f"cosine_{name}_zero"] = float(zero[chosen].mean())
        result[f"cosine_{name}_small"] = float(small[chosen].mean())
    for name, other in (("high", "middle"), ("top", "middle"), ("middle", "low")):
        result[f"cosine_{name}_to_{other}"] = log_power[name] - log_power[other]
    quiet = np.sort((squares * (band_of >= 7)).sum(axis=(1, 2)))
    result["cosine_quiet_blocks"] = float(np.log(quiet[: quiet.size // 8].mean() + 1e-3))
    return result


@cache
def _cosine_basis() -> NDArray[np.float32]:
    index = np.arange(_BLOCK)
    basis = np.cos((2 * index[None] + 1) * index[:, None] * np.pi / (2 * _BLOCK)) / 2.0
    basis[0] /= np.sqrt(2.0)
    return basis.astype(np.float32)


def _residual(image: NDArray[np.uint8], spread: float) -> dict[str, float]:
    """What a median filter takes away: size, tails, and correlation of neighbours."""
    residual = image.astype(np.float32) - cv2.medianBlur(image, 3).astype(np.float32)
    size = float(residual.std())
    centred = residual - residual.mean()
    variance = float(np.square(centred).mean()) + 1e-6
    fourth = float(np.square(np.square(centred)).mean())
    return {
        "residual_size": float(np.log(size + 1e-2)),
        "residual_to_spread": float(np.log(size / spread + 1e-4)),
        "residual_zero": float((residual == 0).mean()),
        "residual_kurtosis": float(np.log(fourth / variance**2 + 1.0)),
        "residual_across": float((centred[:, 1:] * centred[:, :-1]).mean() / variance),
        "residual_down": float((centred[1:] * centred[:-1]).mean() / variance),
    }


def _spectrum(pixels: NDArray[np.float32]) -> dict[str, float]:
    """Log power of rings of the Fourier spectrum relative to the ring before."""
    window, ring_of, counts = _rings(pixels.shape[0])
    transform = np.fft.rfft2((pixels - pixels.mean()) * window)
    power = np.square(transform.real) + np.square(transform.imag)
    sums = np.bincount(ring_of.ravel(), weights=power.ravel(), minlength=counts.size)
    logs = np.log(sums / counts + 1e-3)[1:-1]
    return {f"ring_{i}_to_{i - 1}": float(logs[i] - logs[i - 1]) for i in range(1, logs.size)}


@cache
def _rings(side: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Window, the ring of each frequency (0 below the first, then counted), and their sizes."""
    hann = np.hanning(side).astype(np.float32)
    radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    ring_of = np.digitize(radius, _RING_EDGES)
    counts = np.bincount(ring_of.ravel(), minlength=len(_RING_EDGES) + 1)
    return np.outer(hann, hann), ring_of, np.maximum(counts, 1)
