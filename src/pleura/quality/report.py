"""The outcome of the input gate."""

from dataclasses import dataclass

from pleura.radiograph import Notice


@dataclass(frozen=True, slots=True)
class QualityReport:
    """Whether the model may judge the radiograph, and what the reader should know."""

    accepted: bool = True
    warnings: tuple[Notice, ...] = ()
