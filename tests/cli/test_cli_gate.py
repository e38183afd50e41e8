"""The input gate on the command line."""

import json

import cv2
import numpy as np
import pytest

from pleura.cli.main import main
from tiny_gate import add_gate, picture
from tiny_model import write_model


@pytest.fixture
def gated(tmp_path):
    return add_gate(write_model(tmp_path / "gated"))


@pytest.fixture
def turned(tmp_path):
    pixels = np.rint(picture("bottom", box=True) * 255).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "turned.png"), pixels)
    return tmp_path / "turned.png"


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code or 0, capsys.readouterr()


@pytest.mark.parametrize(
    ("options", "status", "codes"),
    [
        ((), 3, None),
        (("--gate", "warn"), 0, ["picture_turned"]),
        (("--gate", "off"), 0, []),
        (("--correct",), 0, ["picture_turned_corrected"]),
        (("--gate", "WARN", "--correct"), 0, ["picture_turned_corrected"]),
    ],
)
def test_strictness_and_correction(gated, turned, capsys, options, status, codes):
    ended, said = run(capsys, "predict", turned, "--model", gated, "--jsonl", *options)
    assert ended == status
    result = json.loads(said.out)
    if codes is None:
        assert (result["status"], result["error"]["code"]) == ("refused", "picture_turned")
        assert "ask for pictures to be corrected" in result["error"]["hint"]
    else:
        assert [warning["code"] for warning in result["quality"]["warnings"]] == codes


@pytest.mark.parametrize("options", [("--gate", "strict"), ("--gate", "off", "--correct")])
def test_wrong_usage(gated, turned, capsys, options):
    ended, _ = run(capsys, "predict", turned, "--model", gated, *options)
    assert ended == 2


def test_one_model_s_gate_for_another(gated, tmp_path, capsys):
    plain = write_model(tmp_path / "plain")
    ended, said = run(capsys, "models", "gate", gated, plain)
    assert ended == 0
    assert "has the input gate of" in said.out
    assert (plain / "gate.onnx").read_bytes() == (gated / "gate.onnx").read_bytes()
