"""Fetching radiographs from a DICOMweb server: QIDO-RS, WADO-RS, and into the intake."""

from pleura.service.pull.run import PullTally, pull
from pleura.service.pull.search import Criteria

__all__ = ["Criteria", "PullTally", "pull"]
