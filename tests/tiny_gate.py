"""An input gate small enough to reckon by hand: every output is a weighted sum of the pixels."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pleura.inference.manifest import Manifest, sha256_of
from pleura.quality import GateSpec, Kind, Limit
from pleura.quality.spec import FAULTS

SIDE = 32
GAIN = 30.0
LIMITS = dict.fromkeys(FAULTS, Limit(warn=0.3, refuse=0.8))


def strip(where: str) -> NDArray[np.float32]:
    """Weights that give the mean of one border's strip."""
    weights = np.zeros((SIDE, SIDE), np.float32)
    place = {
        "top": np.s_[:4, 8:24],
        "left": np.s_[8:24, :4],
        "bottom": np.s_[-4:, 8:24],
        "right": np.s_[8:24, -4:],
        "corner": np.s_[:4, :4],
    }[where]
    weights[place] = 1
    return weights / weights.sum()


def add_gate(folder: Path, limits: dict[str, Limit] | None = None) -> Path:
    """Put it into a model folder.

    Frontal has the logit 10 and everything else 0, but for a lateral view: GAIN times the grey of
    the upper left corner. The picture is as far turned to the left as the bright one among its
    borders is from the top. It is inverted when its mean is above 1/2.
    """
    rows = np.zeros((11, SIDE, SIDE), np.float32)
    rows[list(Kind).index(Kind.LATERAL)] = GAIN * strip("corner")
    for turn, border in enumerate(("top", "left", "bottom", "right")):
        rows[len(Kind) + turn] = GAIN * strip(border)
    rows[-1] = GAIN / SIDE**2
    bias = np.zeros(11, np.float32)
    bias[0], bias[-1] = 10, -GAIN / 2
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "rows", "bias"], ["summed"]),
            helper.make_node("Flatten", ["summed"], ["flat"], axis=1),
            helper.make_node("Split", ["flat", "parts"], ["kind", "turn", "inverted"], axis=1),
        ],
        "gate",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, SIDE, SIDE])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", length])
            for name, length in (("kind", 6), ("turn", 4), ("inverted", 1))
        ],
        [
            numpy_helper.from_array(rows[:, None], "rows"),
            numpy_helper.from_array(bias, "bias"),
            numpy_helper.from_array(np.array([6, 4, 1]), "parts"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, folder / "gate.onnx")
    spec = GateSpec(
        file="gate.onnx",
        sha256=sha256_of(folder / "gate.onnx"),
        size=SIDE,
        mean=0.0,
        std=1.0,
        limits=limits or LIMITS,
    )
    Manifest.read(folder).model_copy(update={"gate": spec}).write(folder)
    return folder


def picture(
    bright: str = "top", corner: float = 0.0, box: bool = False, side: int = 320
) -> NDArray[np.float32]:
    """A grey picture with one bright border, for the gate above, and perhaps a bright box."""
    pixels = np.full((SIDE, SIDE), 0.1, np.float32)
    pixels[::2] = 0.3
    pixels[strip(bright) > 0] = 1
    pixels[strip("corner") > 0] = corner
    if box:
        pixels[10:18, 6:14] = 1
    return np.kron(pixels, np.ones((side // SIDE, side // SIDE), np.float32))
