"""Bodies of uploads as they come in, piece by piece: one file, or the parts of a form."""

from typing import Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from pleura.service.api.arrivals import Arrivals
from pleura.service.api.errors import BodyTypeError, MalformedBodyError, NothingSentError

FORM = "multipart/form-data"
RAW = (
    "application/octet-stream",
    "application/dicom",
    "application/zip",
    "application/x-zip-compressed",
    "image/png",
    "image/jpeg",
    "image/tiff",
)
_LONGEST_HEADER = 4096


class Body(Protocol):
    """A body that is fed as it arrives, in a thread: it writes to the disk."""

    def feed(self, data: bytes) -> None:
        """More of it."""

    def end(self) -> None:
        """That was all."""


def body_of(content_type: str | None, arrivals: Arrivals) -> Body:
    """What reads a body of this type.

    Raises:
        BodyTypeError: it cannot hold an image.
        MalformedBodyError: a form without a boundary.
    """
    kind, options = parse_options_header(content_type or RAW[0])
    name = kind.decode("latin-1")
    if name == FORM:
        return FormBody(options.get(b"boundary", b""), arrivals)
    if name in RAW:
        return RawBody(arrivals)
    raise BodyTypeError("The body is declared as something that is no image.")


class RawBody:
    """The body is one file."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals

    def feed(self, data: bytes) -> None:
        """More of the file.

        Raises:
            BusyError, TooLargeError: it cannot be taken.
        """
        if not data:
            return
        if not self._arrivals.files:
            self._arrivals.begin("")
        self._arrivals.write(data)
        error = self._arrivals.files[-1].error
        if error is not None:
            raise error

    def end(self) -> None:
        """The file is complete.

        Raises:
            NothingSentError: there was none.
        """
        if not self._arrivals.files:
            raise NothingSentError("The body is empty.")
        self._arrivals.end()


class FormBody:
    """The body is a form (RFC 7578): its parts with a file name are files, others are ignored.

    Args:
        boundary: between the parts.
        arrivals: where the files go.

    Raises:
        MalformedBodyError: there is no boundary, or it is too long.
    """

    def __init__(self, boundary: bytes, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._field = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._in_file = False
        self._complete = False
        if not boundary:
            raise MalformedBodyError("The form has no boundary.")
        callbacks = {
            "on_part_begin": self._part_begins,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_ends,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._data,
            "on_part_end": self._part_ends,
            "on_end": self._form_ends,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        except FormParserError as error:
            raise MalformedBodyError("The boundary of the form is too long.") from error

    def feed(self, data: bytes) -> None:
        """More of the form.

        Raises:
            BusyError, TooMuchSentError: a file cannot be taken.
            MalformedBodyError: this is no form.
        """
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise MalformedBodyError("The form is malformed.") from error

    def end(self) -> None:
        """That was all.

        Raises:
            MalformedBodyError: the form breaks off.
            NothingSentError: it holds no file.
        """
        if not self._complete:
            raise MalformedBodyError("The form breaks off before its end.")
        if not self._arrivals.files:
            raise NothingSentError("The form has no part with a file name.")

    def _part_begins(self) -> None:
        self._disposition = b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]
        self._bound(self._field)

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._bound(self._value)

    def _bound(self, header: bytearray) -> None:
        if len(header) > _LONGEST_HEADER:
            raise MalformedBodyError("A part of the form has a header that is too long.")

    def _header_ends(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._field.clear()
        self._value.clear()

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"filename")
        self._in_file = name is not None
        if name is not None:
            self._arrivals.begin(name.decode("utf-8", errors="replace"))

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._arrivals.write(data[start:end])

    def _part_ends(self) -> None:
        if self._in_file:
            self._arrivals.end()
        self._in_file = False

    def _form_ends(self) -> None:
        self._complete = True
