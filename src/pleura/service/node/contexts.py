"""What the node takes: SOP classes, each in every transfer syntax that the reader decodes."""

from types import MappingProxyType

from pynetdicom.presentation import PresentationContext, build_context

VERIFICATION = "1.2.840.10008.1.1"
IMAGES = MappingProxyType(
    {
        "1.2.840.10008.5.1.4.1.1.1": "Computed Radiography Image Storage",
        "1.2.840.10008.5.1.4.1.1.1.1": "Digital X-Ray Image Storage - For Presentation",
        "1.2.840.10008.5.1.4.1.1.1.1.1": "Digital X-Ray Image Storage - For Processing",
        "1.2.840.10008.5.1.4.1.1.7": "Secondary Capture Image Storage",
        "1.2.840.10008.5.1.4.1.1.7.1": "Multi-frame Single Bit Secondary Capture Image Storage",
        "1.2.840.10008.5.1.4.1.1.7.2": "Multi-frame Grayscale Byte Secondary Capture Image Storage",
        "1.2.840.10008.5.1.4.1.1.7.3": "Multi-frame Grayscale Word Secondary Capture Image Storage",
        "1.2.840.10008.5.1.4.1.1.7.4": "Multi-frame True Color Secondary Capture Image Storage",
    }
)
"""Storage SOP classes by UID. Segmentations and reports are none of them: results that a PACS
sends on to everybody do not come in again."""

_NATIVE = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2")
_JPEG = "1.2.840.10008.1.2.4."
_RETIRED = (52, 53, 54, 55, 56, 58, 59, 60, 61, 62, 63, 64, 65, 66)
TRANSFER_SYNTAXES = (
    *_NATIVE,
    "1.2.840.10008.1.2.1.99",  # Deflated Explicit VR Little Endian
    "1.2.840.10008.1.2.5",  # RLE Lossless
    f"{_JPEG}70",  # JPEG Lossless, Process 14, Selection Value 1
    f"{_JPEG}57",  # JPEG Lossless, Process 14
    f"{_JPEG}80",  # JPEG-LS Lossless
    f"{_JPEG}90",  # JPEG 2000 Lossless
    f"{_JPEG}201",  # HTJ2K Lossless
    f"{_JPEG}202",  # HTJ2K Lossless, RPCL
    f"{_JPEG}92",  # JPEG 2000 Part 2 Lossless
    f"{_JPEG}81",  # JPEG-LS Near-Lossless
    f"{_JPEG}91",  # JPEG 2000
    f"{_JPEG}93",  # JPEG 2000 Part 2
    f"{_JPEG}203",  # HTJ2K
    f"{_JPEG}51",  # JPEG Extended, Process 2 and 4
    f"{_JPEG}50",  # JPEG Baseline, Process 1
    *(f"{_JPEG}{number}" for number in _RETIRED),
)
"""In the order in which the node chooses where a peer offers several for one class: what loses
nothing comes first. Each of them is in docs/reading.md."""


def supported_contexts() -> list[PresentationContext]:
    """Presentation contexts of the node as acceptor (PS3.8 7.1.1.13)."""
    verification = build_context(VERIFICATION, list(_NATIVE))
    return [verification, *(build_context(uid, list(TRANSFER_SYNTAXES)) for uid in IMAGES)]
