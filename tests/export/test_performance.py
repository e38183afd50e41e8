"""What a manifest claims is what an evaluation of that very model measured."""

from pathlib import Path

import pytest

from evaluation_cases import made_cases
from pleura.cli.main import main
from pleura.errors import ModelError
from pleura.evaluation import summarise
from pleura.evaluation.report import Provenance, Report
from pleura.export.performance import record_performance
from pleura.inference import Manifest
from pleura.inference.manifest import sha256_of
from tiny_model import write_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny")


def write_report(model: Path, path: Path) -> Report:
    manifest = Manifest.read(model)
    figures = summarise(
        made_cases(), manifest.operating_points, manifest.default_operating_point, n_resamples=100
    )
    report = Report(
        schema="pleura.evaluation/1",
        provenance=Provenance(
            model_name=manifest.name,
            model_version=manifest.version,
            model_sha256=sha256_of(model / "manifest.json"),
            data_layout="made",
            data_fingerprint="0" * 64,
            cases_fingerprint="0" * 64,
            split="test",
            created="2026-01-01T00:00:00+00:00",
            command="",
            machine={},
            pleura_version="0",
        ),
        figures=figures,
    )
    path.write_text(report.model_dump_json(by_alias=True))
    return report


def test_the_figures_of_the_report_become_the_claims(model, tmp_path):
    report = write_report(model, tmp_path / "report.json")
    claims = record_performance(model, tmp_path / "report.json").performance
    figures = report.figures
    (selected,) = [point for point in figures.operating_points if point.selected]
    assert claims["test_auc"] == figures.discrimination.auc
    assert claims["test_dice_positives"] == figures.segmentation.dice_positives
    assert claims["test_sensitivity"] == selected.sensitivity
    for point in figures.operating_points:
        assert claims[f"test_{point.claimed.name}_sensitivity"] == point.sensitivity
        assert claims[f"test_{point.claimed.name}_specificity"] == point.specificity
    assert claims["test_end_to_end_dice_kaggle"] == selected.dice_kaggle
    manifest = Manifest.read(model)
    assert manifest.performance == claims
    assert "120 images of the split 'test' (30 positive)" in manifest.performance_cohort


def test_a_report_on_another_state_of_the_model_is_refused(model, tmp_path):
    write_report(model, tmp_path / "report.json")
    record_performance(model, tmp_path / "report.json")  # which changes the manifest
    before = (model / "manifest.json").read_bytes()
    with pytest.raises(ModelError, match="not on this model"):
        record_performance(model, tmp_path / "report.json")
    assert (model / "manifest.json").read_bytes() == before


def test_what_is_no_report_is_refused(model, tmp_path):
    (tmp_path / "other.json").write_text("{}")
    for name in ("other.json", "absent.json"):
        with pytest.raises(ModelError, match="not an evaluation report"):
            record_performance(model, tmp_path / name)


def test_the_command_records_and_shows(model, tmp_path, capsys):
    write_report(model, tmp_path / "report.json")
    with pytest.raises(SystemExit) as ended:
        main(["models", "record", str(model), str(tmp_path / "report.json")])
    assert not ended.value.code
    assert "test_auc" in capsys.readouterr().out
