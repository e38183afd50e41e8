"""Measuring a model: figures with intervals, calibration, operating points, subgroups, a report."""

from pleura.evaluation.calibration import (
    choose_calibration,
    fit_isotonic,
    fit_platt,
    fit_temperature,
)
from pleura.evaluation.cases import predict_cases, select_rows
from pleura.evaluation.comparison import compare
from pleura.evaluation.comparison_report import Comparison
from pleura.evaluation.mask_rule import MaskRuleChoice, choose_mask_rule
from pleura.evaluation.operating_points import choose_operating_points, measure_point
from pleura.evaluation.read import Evaluation, read_evaluation
from pleura.evaluation.report import Figures, Provenance, Report
from pleura.evaluation.run import evaluate_model
from pleura.evaluation.site_calibration import SiteCalibration, calibrate_site, fit_site
from pleura.evaluation.summarise import summarise
from pleura.evaluation.thumbnails import draw_thumbnails
from pleura.evaluation.write import write_report

__all__ = [
    "Comparison",
    "Evaluation",
    "Figures",
    "MaskRuleChoice",
    "Provenance",
    "Report",
    "SiteCalibration",
    "calibrate_site",
    "choose_calibration",
    "choose_mask_rule",
    "choose_operating_points",
    "compare",
    "draw_thumbnails",
    "evaluate_model",
    "fit_isotonic",
    "fit_platt",
    "fit_site",
    "fit_temperature",
    "measure_point",
    "predict_cases",
    "read_evaluation",
    "select_rows",
    "summarise",
    "write_report",
]
