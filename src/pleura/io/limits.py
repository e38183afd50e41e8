"""What the reader refuses to hold in memory, and what is too small to be judged."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one input; anything beyond them is a typed refusal, never a crash.

    Attributes:
        max_bytes: largest file, archive member or inflated data set, in bytes. A digital chest
            radiograph of 4300 x 3500 pixels and 16 bits takes 30 MB uncompressed.
        max_pixels: largest Rows x Columns. The largest flat detectors stay below 20 million.
        min_side: fewest rows and fewest columns. Below about 200 the pleural line of a small
            pneumothorax is thinner than a pixel.
        max_members: most entries of one archive.
    """

    max_bytes: int = 512 * 1024 * 1024
    max_pixels: int = 100_000_000
    min_side: int = 200
    max_members: int = 100_000

    def __post_init__(self) -> None:
        if min(self.max_bytes, self.max_pixels, self.min_side, self.max_members) < 1:
            raise ValueError("every limit must be at least 1")


DEFAULT_LIMITS = Limits()
