"""Measuring a model: figures with intervals, calibration, operating points, subgroups, a report."""

from pleura.evaluation.calibration import fit_platt
from pleura.evaluation.cases import predict_cases, select_rows
from pleura.evaluation.mask_rule import MaskRuleChoice, choose_mask_rule
from pleura.evaluation.operating_points import choose_operating_points, measure_point
from pleura.evaluation.report import Figures, Provenance, Report
from pleura.evaluation.run import evaluate_model
from pleura.evaluation.summarise import summarise
from pleura.evaluation.write import write_report

__all__ = [
    "Figures",
    "MaskRuleChoice",
    "Provenance",
    "Report",
    "choose_mask_rule",
    "choose_operating_points",
    "evaluate_model",
    "fit_platt",
    "measure_point",
    "predict_cases",
    "select_rows",
    "summarise",
    "write_report",
]
