"""DICOM files made on the spot: small, complete, and with a patient whose name must never leak."""

from io import BytesIO
from typing import Any

import cv2
import imagecodecs
import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

PATIENT_NAME = "Quixote^Alonso"
PATIENT_ID = "LAMANCHA-1605"
STUDY_UID = "1.2.826.0.1.3680043.10.999.2"
SERIES_UID = "1.2.826.0.1.3680043.10.999.3"
INSTANCE_UID = "1.2.826.0.1.3680043.10.999.4"
SECRETS = (PATIENT_NAME, "Quixote", PATIENT_ID, "LAMANCHA", "Rocinante", "10.999")

CR = "1.2.840.10008.5.1.4.1.1.1"
DX = "1.2.840.10008.5.1.4.1.1.1.1"
SC = "1.2.840.10008.5.1.4.1.1.7"
CT = "1.2.840.10008.5.1.4.1.1.2"

J = "1.2.840.10008.1.2.4."


def gradient(
    rows: int = 210, columns: int = 220, low: int = 0, high: int = 255, dtype: Any = np.uint8
) -> np.ndarray:
    """A picture that is not symmetric and takes the whole range from `low` to `high`."""
    r, c = np.mgrid[0:rows, 0:columns]
    t = (r * 2 + c) / (2 * (rows - 1) + columns - 1)
    return np.rint(low + t * (high - low)).astype(dtype)


def dataset(pixels: np.ndarray, **elements: Any) -> FileDataset:
    """A CR image of unsigned or signed pixels; `elements` replace or, with None, remove."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = elements.get("SOPClassUID") or CR
    meta.MediaStorageSOPInstanceUID = INSTANCE_UID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID = CR
    ds.SOPInstanceUID = INSTANCE_UID
    ds.StudyInstanceUID = STUDY_UID
    ds.SeriesInstanceUID = SERIES_UID
    ds.StudyDate = "20200615"
    ds.Modality = "CR"
    ds.PatientName = PATIENT_NAME
    ds.PatientID = PATIENT_ID
    ds.ReferringPhysicianName = "Rocinante"
    ds.StudyDescription = "Rocinante"
    ds.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    ds.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        ds.PlanarConfiguration = 0
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.BitsAllocated = 8 * pixels.dtype.itemsize
    ds.BitsStored = elements.get("BitsStored") or ds.BitsAllocated
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    for keyword, value in elements.items():
        if value is None:
            if keyword in ds:
                delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    ds.PixelData = data + b"\0" * (len(data) % 2)
    ds["PixelData"].VR = "OB" if ds.BitsAllocated == 8 else "OW"
    return ds


def table(first: int, entries: list[int] | np.ndarray, bits: int, *, signed: bool = False) -> Any:
    """A LUT sequence of one item."""
    item = Dataset()
    count = len(entries) % 65536
    item.add_new(0x00283002, "SS" if signed else "US", [count, first, bits])
    item.add_new(0x00283006, "OW", np.asarray(entries, "<u2").tobytes())
    return Sequence([item])


def to_bytes(ds: Dataset, **options: Any) -> bytes:
    """The data set as a file."""
    stream = BytesIO()
    dcmwrite(stream, ds, **{"enforce_file_format": True, **options})
    return stream.getvalue()


def big_endian(ds: FileDataset) -> bytes:
    """The data set as a file in Explicit VR Big Endian; words of 16 bits are exchanged."""
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.2"
    width = ds.BitsAllocated // 8
    ds.PixelData = np.frombuffer(ds.PixelData, f"<u{width}").astype(f">u{width}").tobytes()
    for keyword in ("ModalityLUTSequence", "VOILUTSequence"):
        for item in ds.get(keyword, []):
            item.LUTData = np.frombuffer(item.LUTData, "<u2").astype(">u2").tobytes()
    return to_bytes(ds, implicit_vr=False, little_endian=False)


def encode(pixels: np.ndarray, syntax: str, bits: int | None = None) -> bytes:
    """One compressed stream of unsigned pixels, by imagecodecs."""
    bits = bits or 8 * pixels.dtype.itemsize
    end = syntax.removeprefix(J)
    if end in ("50", "51"):
        return bytes(imagecodecs.jpeg8_encode(pixels, level=95, bitspersample=bits))
    if end == "55":
        options = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
        return cv2.imencode(".jpg", pixels, options)[1].tobytes()
    if end in ("57", "70"):
        return bytes(
            imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=1, bitspersample=bits)
        )
    if end == "80":
        return bytes(imagecodecs.jpegls_encode(pixels))
    if end == "81":
        return bytes(imagecodecs.jpegls_encode(pixels, level=2))
    if end in ("90", "91"):
        return bytes(
            imagecodecs.jpeg2k_encode(
                pixels,
                level=0 if end == "90" else 60,
                codecformat="j2k",
                reversible=end == "90",
                bitspersample=bits,
            )
        )
    if end == "201":
        return bytes(imagecodecs.htj2k_encode(pixels))
    raise ValueError(syntax)


def compressed(
    pixels: np.ndarray, syntax: str, *, fragments: int = 1, bits: int | None = None, **elements: Any
) -> FileDataset:
    """A data set whose pixels are compressed; signed pixels are coded by their stored bits."""
    ds = dataset(pixels, **({"BitsStored": bits} if bits else {}), **elements)
    if syntax == str(RLELossless):
        ds.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
        return ds
    unsigned = pixels.view(f"u{pixels.dtype.itemsize}")
    if bits:
        unsigned = unsigned & np.array((1 << bits) - 1, unsigned.dtype)
    ds.PixelData = encapsulate(
        [encode(unsigned, syntax, bits)], fragments_per_frame=fragments, has_bot=False
    )
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = syntax
    return ds
