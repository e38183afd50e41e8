"""Predictions in the formats that other programs and people read."""

from pleura.outputs.json_lines import JsonLinesWriter
from pleura.outputs.overlay import DISCLAIMER, OverlayWriter, draw_overlay, encode_png
from pleura.outputs.record import PredictionRecord, RefusalRecord, json_line, record_of
from pleura.outputs.table import CsvWriter
from pleura.outputs.writers import FORMATS, OutputFolder, ResultWriter, places_in

__all__ = [
    "DISCLAIMER",
    "FORMATS",
    "CsvWriter",
    "JsonLinesWriter",
    "OutputFolder",
    "OverlayWriter",
    "PredictionRecord",
    "RefusalRecord",
    "ResultWriter",
    "draw_overlay",
    "encode_png",
    "json_line",
    "places_in",
    "record_of",
]
