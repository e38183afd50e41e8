"""Errors that only the REST API has, each with its HTTP status."""

from typing import ClassVar

from pleura.errors import PleuraError, RefusedInputError

RETRY_SECONDS = 10
"""After which a caller that was sent away may come again."""


class ApiError(PleuraError):
    """Base of the errors that are answers to a request.

    Attributes:
        status: HTTP status.
        retry: the caller is told to come again.
    """

    status: ClassVar[int] = 400
    retry: ClassVar[bool] = False


class InvalidRequestError(ApiError):
    """A parameter or body is not what the route takes."""

    code = "invalid_request"
    status = 422
    default_hint = "See /openapi.json for what this route takes."


class NoKeyError(ApiError):
    """The request has no valid key."""

    code = "no_key"
    status = 401
    default_hint = "Send the header 'Authorization: Bearer KEY'; `pleura keys make` makes keys."


class WrongKeysError(ApiError):
    """Too many requests without a valid key came from this address."""

    code = "too_many_wrong_keys"
    status = 429
    retry = True
    default_hint = "Correct the key of the program that asks; a valid key is always served."


class ForbiddenError(ApiError):
    """The key may not do this."""

    code = "forbidden"
    status = 403
    default_hint = "Use a key of the role that the route asks for."


class NotFinishedError(ApiError):
    """The job has no result yet."""

    code = "not_finished"
    status = 409
    retry = True
    default_hint = "Ask again later, or upload with ?wait=SECONDS."


class NoSuchResultError(ApiError):
    """The job was finished without a result of this kind."""

    code = "no_such_result"
    status = 404
    default_hint = "The job's links name the results that there are."


class ResultRemovedError(ApiError):
    """What was asked for was kept for as long as the settings say, and is gone."""

    code = "result_removed"
    status = 410
    default_hint = "Send the image again, and it is judged again."


class NotGivenUpError(ApiError):
    """Only a job that was given up, and whose image is kept, is tried anew."""

    code = "not_given_up"
    status = 409
    default_hint = "See the job's state."


class BodyTypeError(ApiError):
    """The body is declared as something that is no image."""

    code = "unsupported_media_type"
    status = 415
    default_hint = (
        "Send an image or a zip archive as application/octet-stream, or several files as"
        " multipart/form-data."
    )


class MalformedBodyError(ApiError):
    """The multipart body breaks its own rules."""

    code = "malformed_multipart"
    status = 400
    default_hint = "Nothing was taken; send it again, built by a library for multipart/form-data."


class NothingSentError(ApiError):
    """The upload holds no file."""

    code = "nothing_sent"
    status = 422
    default_hint = "Send the bytes of an image, or parts of multipart/form-data with a filename."


class TooMuchSentError(ApiError):
    """The request is larger than the settings allow; nothing of it was taken."""

    code = "request_too_large"
    status = 413
    default_hint = "Send less at a time, or raise api.request_mib, api.file_mib or api.files."


class HeadTooLargeError(ApiError):
    """The head of the request is larger than the settings allow."""

    code = "head_too_large"
    status = 431
    default_hint = "Send fewer or shorter headers, or raise api.head_kib."


class TooSlowError(ApiError):
    """The body took longer to arrive than the settings allow; nothing of it was taken."""

    code = "too_slow"
    status = 408
    default_hint = "Send less at a time, or raise api.request_seconds or api.stall_seconds."


class CrowdedError(ApiError):
    """Too many connections are open."""

    code = "crowded"
    status = 503
    retry = True
    default_hint = "Use one connection for many requests, or raise api.connections."


class NotAuditedError(ApiError):
    """The audit log cannot be written, so nothing is shown."""

    code = "not_audited"
    status = 503
    retry = True
    default_hint = "Look at the database and the disk."


class OwnResultError(RefusedInputError):
    """What was sent is a result of Pleura, which must not be judged again."""

    code = "own_result"
    default_hint = "Send the radiograph itself."
