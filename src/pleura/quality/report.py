"""The outcome of the input gate."""

from dataclasses import dataclass

from pleura.radiograph import Notice


@dataclass(frozen=True, slots=True)
class QualityReport:
    """Whether the model may judge the radiograph, and what the reader should know.

    Attributes:
        accepted: the model judged it.
        warnings: what the reader, the header, the picture and the features say against the result.
        unfamiliarity: distance from the radiographs that the model was measured on, 1 being the
            limit that a hundredth of them lies beyond; None when the model has no such measure, or
            before it was run.
    """

    accepted: bool = True
    warnings: tuple[Notice, ...] = ()
    unfamiliarity: float | None = None
