"""Predictions in the formats that other programs and people read."""

from pleura.outputs.deidentify import ReplacementMap, deidentified
from pleura.outputs.dicom.objects import dicom_objects
from pleura.outputs.dicom.options import DicomOptions, Kind
from pleura.outputs.dicom.writer import Unwritten
from pleura.outputs.heatmap import HeatmapWriter, draw_heatmap
from pleura.outputs.json_lines import JsonLinesWriter
from pleura.outputs.overlay import OverlayWriter, draw_overlay
from pleura.outputs.pictures import DISCLAIMER, encode_png
from pleura.outputs.record import PredictionRecord, RefusalRecord, json_line, record_of
from pleura.outputs.submission import SubmissionWriter, read_sample
from pleura.outputs.table import CsvWriter
from pleura.outputs.writers import (
    DICOM_FORMATS,
    FORMATS,
    HEATMAP,
    SUBMISSION,
    OutputFolder,
    ResultWriter,
    places_in,
)

__all__ = [
    "DICOM_FORMATS",
    "DISCLAIMER",
    "FORMATS",
    "HEATMAP",
    "SUBMISSION",
    "CsvWriter",
    "DicomOptions",
    "HeatmapWriter",
    "JsonLinesWriter",
    "Kind",
    "OutputFolder",
    "OverlayWriter",
    "PredictionRecord",
    "RefusalRecord",
    "ReplacementMap",
    "ResultWriter",
    "SubmissionWriter",
    "Unwritten",
    "deidentified",
    "dicom_objects",
    "draw_heatmap",
    "draw_overlay",
    "encode_png",
    "json_line",
    "places_in",
    "read_sample",
    "record_of",
]
