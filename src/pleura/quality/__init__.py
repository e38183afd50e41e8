"""May the model judge this radiograph, and what should the reader of the result know?"""

from pleura.quality.header import assess
from pleura.quality.report import QualityReport

__all__ = ["QualityReport", "assess"]
