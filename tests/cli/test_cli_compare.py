"""`pleura compare` on two written evaluations."""

import json

import pytest

from evaluation_cases import evaluation, made_cases, other_model, write_evaluation
from pleura.cli.main import main
from pleura.evaluation import Comparison


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root, cases = tmp_path_factory.mktemp("compare"), made_cases()
    pair = evaluation(cases), evaluation(other_model(cases).iloc[:-1])
    return [
        write_evaluation(made, root / name)
        for name, made in zip(("first", "second"), pair, strict=True)
    ]


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def test_the_table_has_every_figure(folders, capsys):
    status, said, _ = call(capsys, "compare", *folders, "--resamples", 100)
    assert status == 0
    for wanted in (
        "119 images of 60 patients in both: 30 positive, 89 negative",
        "left out: 1 only in the first, 0 only in the second, 0 without",
        "'balanced' from 0.5000 on",
        "Dice, end to end",
        "Brier (less is better)",
        "AUC, DeLong",
        "negatives, McNemar",
        "note: Some patients have several images.",
        "not a medical device",
    ):
        assert wanted in said, wanted
    assert "image-" not in said
    assert "patient-" not in said


def test_the_json_is_the_comparison(folders, capsys):
    words = ["compare", *folders, "--json", "--operating-point", "sensitive", "--resamples", 100]
    status, said, _ = call(capsys, *words)
    assert status == 0
    assert json.loads(said)["schema"] == "pleura.comparison/1"
    found = Comparison.model_validate_json(said)
    assert (found.operating_point, found.first.threshold, found.n_resamples) == (
        "sensitive",
        0.2,
        100,
    )
    _, again, _ = call(capsys, *words)
    assert again == said


def test_what_cannot_be_compared_is_wrong_usage(folders, capsys, tmp_path):
    status, said, error = call(capsys, "compare", folders[0], tmp_path)
    assert (status, said) == (2, "")
    assert "[data_error]" in error
    assert "pleura evaluate" in error
    status, _, error = call(capsys, "compare", *folders, "--operating-point", "nowhere")
    assert status == 2
    assert "balanced, sensitive" in error
