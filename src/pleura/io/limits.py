"""What the reader refuses to hold in memory, and what is too small to be judged."""

from dataclasses import astuple, dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one input; anything beyond them is a typed refusal, never a crash.

    Attributes:
        max_bytes: largest file, archive member, inflated data set or decoded image, in bytes. A
            digital chest radiograph of 4300 x 3500 pixels and 16 bits takes 30 MB uncompressed.
        max_pixels: largest Rows x Columns. The largest flat detectors stay below 20 million.
        min_side: fewest rows and fewest columns. Below about 200 the pleural line of a small
            pneumothorax is thinner than a pixel.
        max_members: most entries of one archive.
        max_header_bytes: most bytes of a DICOM header, which is all that stands before the pixel
            data. Icons, look-up tables and overlays of radiographs stay below 5 MB.
        max_elements: most elements and sequence items of a DICOM header, those inside of sequences
            of undefined length included. Radiographs have a few hundred.
    """

    max_bytes: int = 512 * 1024 * 1024
    max_pixels: int = 100_000_000
    min_side: int = 200
    max_members: int = 100_000
    max_header_bytes: int = 16 * 1024 * 1024
    max_elements: int = 20_000

    def __post_init__(self) -> None:
        if min(astuple(self)) < 1:
            raise ValueError("every limit must be at least 1")


DEFAULT_LIMITS = Limits()
