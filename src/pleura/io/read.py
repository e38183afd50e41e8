"""One input -> one Radiograph."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from pleura.errors import ConstantImageError, TooSmallError
from pleura.io.limits import DEFAULT_LIMITS, Limits
from pleura.io.source import Format, read_file, read_stream, sniff, too_many_bytes
from pleura.radiograph import Radiograph

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from pleura.io.dicom_file import DicomObject


def read_radiograph(
    source: "str | os.PathLike[str] | bytes | BinaryIO | Dataset",
    *,
    name: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Radiograph:
    """Read a projection radiograph from DICOM, PNG, JPEG or TIFF.

    Args:
        source: a path, the bytes of a file, a binary file object, or a pydicom Dataset.
        name: what to call the input in results; by default the path, or the file object's name.
        limits: bounds on the size.

    Returns:
        The radiograph; its pixels are float32 in [0, 1] on the grid of the file, air dark and bone
        bright, after the greyscale pipeline of PS3.4 N.2.

    Raises:
        RefusedInputError: one of its kinds; each has a stable code, a message without patient
            identifiers, and a hint.
        TypeError: `source` is none of the above.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        return _from_bytes(read_file(path, limits), name or str(path), limits)
    if isinstance(source, bytes | bytearray | memoryview):
        if len(source) > limits.max_bytes:
            raise too_many_bytes(len(source), limits)
        return _from_bytes(bytes(source), name or "", limits)
    if hasattr(source, "read"):
        stream = cast(BinaryIO, source)
        called = getattr(stream, "name", "")
        called = called if isinstance(called, str) else ""
        return _from_bytes(read_stream(stream, limits), name or called, limits)
    return _from_dataset(source, name or "", limits)


def _from_bytes(data: bytes, name: str, limits: Limits) -> Radiograph:
    kind = sniff(data)
    if kind is Format.DICOM:
        from pleura.io.dicom_file import parse_dicom

        return _from_object(parse_dicom(data, limits), name, limits)
    from pleura.io.raster import decode_raster

    pixels, notices = decode_raster(data, kind, limits)
    return _checked(
        Radiograph(pixels=pixels, source=name, encoding=kind.value, notices=notices), limits
    )


def _from_dataset(source: object, name: str, limits: Limits) -> Radiograph:
    from pydicom.dataset import Dataset

    if not isinstance(source, Dataset):
        raise TypeError(
            f"cannot read a radiograph from {type(source).__name__}: "
            "give a path, bytes, a binary file object or a pydicom Dataset"
        )
    from pleura.io.dicom_dataset import object_of

    return _from_object(object_of(source), name, limits)


def _from_object(source: "DicomObject", name: str, limits: Limits) -> Radiograph:
    from pleura.io import patient, tags
    from pleura.io.gate import check_is_radiograph
    from pleura.io.origin import origin_of
    from pleura.io.render import render
    from pleura.io.stored import require_pixels

    notices = [*source.notices, *check_is_radiograph(source)]
    require_pixels(source)
    header = source.header
    _check_side(header.integer(tags.ROWS), header.integer(tags.COLUMNS), limits)
    rendering = render(source, limits=limits)
    spacing, about_spacing = patient.read_spacing(header)
    age, about_age = patient.read_age(header)
    orientation, about_orientation = patient.read_orientation(header)
    identifiers = patient.read_identifiers(header)
    if not identifiers.sop_class_uid and source.media_storage_class:
        identifiers = replace(identifiers, sop_class_uid=source.media_storage_class)
    return _checked(
        Radiograph(
            pixels=rendering.pixels,
            source=name,
            spacing=spacing,
            view=patient.read_code(header, tags.VIEW_POSITION),
            patient_orientation=orientation,
            modality=patient.read_code(header, tags.MODALITY),
            body_part=patient.read_code(header, tags.BODY_PART_EXAMINED),
            age_years=age,
            sex=patient.read_sex(header),
            identifiers=identifiers,
            encoding=source.transfer_syntax,
            notices=(
                *notices,
                *rendering.notices,
                *about_spacing,
                *about_age,
                *about_orientation,
            ),
            header=origin_of(header.dataset),
        ),
        limits,
    )


def _check_side(rows: int | None, columns: int | None, limits: Limits) -> None:
    """Refuse a small image before it is decoded; a missing size is refused with its own code."""
    if rows is None or columns is None or min(rows, columns) < 1:
        return
    if min(rows, columns) < limits.min_side:
        raise TooSmallError(
            f"The image has {rows} x {columns} pixels; "
            f"at least {limits.min_side} each way are needed."
        )


def _checked(radiograph: Radiograph, limits: Limits) -> Radiograph:
    _check_side(*radiograph.shape, limits)
    if radiograph.pixels.min() == radiograph.pixels.max():
        raise ConstantImageError("Every pixel has the same grey.")
    return radiograph
