"""How unlike the radiographs that the model knows is this one? By the classifier's own features.

The Mahalanobis distance of the deepest features, averaged over the places, from those of held-out
radiographs (Lee et al., NeurIPS 2018, with one class and one layer). It needs no example of
anything else, and so may notice what nobody thought of.
"""

from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pleura.engines import checked_bytes
from pleura.errors import ModelError
from pleura.radiograph import Notice

UNFAMILIAR: Final = Notice(
    "unfamiliar",
    "The picture is unlike the radiographs that the model was measured on; its word counts for"
    " less here.",
)


class FamiliaritySpec(BaseModel):
    """The distance of one model.

    Attributes:
        file: NumPy file in the model folder, float32, (d + 1, d): the features' mean, and the
            matrix that whitens what is left of it.
        sha256: of the file.
        limit: distance that is reported as 1; from there on the result carries a warning.
        fitted_on: on what, and how the limit was chosen, in words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    limit: float = Field(gt=0)
    fitted_on: str = ""

    @model_validator(mode="after")
    def _plain_name(self) -> "FamiliaritySpec":
        if Path(self.file).name != self.file:
            raise ValueError(
                f"file must be a plain name inside the model folder, not {self.file!r}"
            )
        return self


class Familiarity:
    """The distance, loaded once.

    Args:
        folder: of the model.
        spec: from its manifest.

    Raises:
        ModelError: the file is missing, damaged, or not the one of the manifest.
    """

    def __init__(self, folder: Path, spec: FamiliaritySpec) -> None:
        path = folder / spec.file
        content = checked_bytes(path, spec.sha256)
        try:
            table = np.load(BytesIO(content), allow_pickle=False)
        except ValueError as error:
            raise ModelError(f"The model file {path} cannot be read.") from error
        if table.ndim != 2 or table.shape[0] != table.shape[1] + 1:
            raise ModelError(f"{path} must hold a mean and a square matrix.")
        self.spec = spec
        self._mean = table[0].astype(np.float64)
        self._whitening = table[1:].astype(np.float64)

    def unfamiliarity(self, embedding: NDArray[np.float32]) -> float:
        """Distance in units of the limit, not negative.

        Args:
            embedding: float32, (d,), the classifier's.

        Raises:
            ModelError: it has another length, or holds values that are not finite.
        """
        if embedding.shape != self._mean.shape or not np.isfinite(embedding).all():
            raise ModelError("The classifier's features do not fit the model's statistics.")
        offset = self._whitening @ (embedding.astype(np.float64) - self._mean)
        return float(np.sqrt(np.mean(offset**2)) / self.spec.limit)
