"""Errors of the service, with stable codes."""

from pleura.errors import PleuraError


class SettingsError(PleuraError):
    """A setting is missing or wrong."""

    code = "settings"
    default_hint = "Correct the settings file or the environment variable."


class StoreError(PleuraError):
    """The job store cannot be opened, or is of another version."""

    code = "store"
    default_hint = "Check storage.folder and storage.database_url; see the runbook for upgrades."


class StoreUnavailableError(StoreError):
    """The database cannot be reached, for now."""

    code = "store_unavailable"
    default_hint = "Start the database again; nothing that was acknowledged is lost."


class BusyError(PleuraError):
    """Nothing more is taken for now: the queue is full, or the disk is."""

    code = "busy"
    default_hint = "Send it again later; it was not taken."


class UnknownJobError(PleuraError):
    """There is no such job."""

    code = "unknown_job"
    default_hint = "Check the job's id; jobs are listed by `pleura jobs list`."


class LeaseLostError(PleuraError):
    """Another worker has taken the job over; what this one made of it does not count."""

    code = "lease_lost"
    default_hint = "Nothing is to be done; raise worker.lease_seconds if it happens often."


class CorruptInputError(PleuraError):
    """The stored image is not the one that was received."""

    code = "input_corrupt"
    default_hint = "Check the disk, and send the image again."


class MissingInputError(CorruptInputError):
    """The stored image is not there."""

    code = "input_missing"


class WorkerDiedError(PleuraError):
    """Every worker that took the job died or hung."""

    code = "worker_died"
    default_hint = "Look at the worker's log; report the kind of image if it happens again."


class AbandonedError(PleuraError):
    """Nobody tries a delivery any more."""

    code = "abandoned"
    default_hint = "Check that the destination is in the settings, then requeue the delivery."


class SupersededError(PleuraError):
    """The model was changed, and the image was received for the new one as well."""

    code = "superseded"
    default_hint = "See the other job of the same image."


class KeyNameError(PleuraError):
    """A key cannot have this name."""

    code = "key_name"
    default_hint = "Choose another name; `pleura keys list` shows those that are taken."


class UnknownKeyError(PleuraError):
    """There is no such key."""

    code = "unknown_key"
    default_hint = "`pleura keys list` shows the keys."


class DeliveryError(PleuraError):
    """Results did not arrive at a destination.

    Attributes:
        final: trying again cannot help.
    """

    code = "not_delivered"
    default_hint = "It is tried again."
    final = False


class PullError(PleuraError):
    """A DICOMweb server answers, but not with what was asked for."""

    code = "pull"
    default_hint = "Check the URL, and what the server's conformance statement says of it."


class NothingToDeliverError(DeliveryError):
    """The result has no DICOM object: the image had no header that one could refer to."""

    code = "nothing_to_deliver"
    default_hint = "See the result of the job itself; destinations take DICOM objects only."
    final = True


class ResultsMissingError(DeliveryError):
    """The results are no longer on the disk."""

    code = "results_missing"
    default_hint = "Send the image again: it is judged and delivered anew."
    final = True


class UnreachableError(DeliveryError):
    """The destination does not answer, or breaks off."""

    code = "destination_unreachable"
    default_hint = "Check address, port, TLS and whether the destination runs; it is tried again."


class NotAdmittedError(DeliveryError):
    """The destination does not know Pleura."""

    code = "destination_not_admitted"
    default_hint = "Check AE titles, login and what the destination allows; it is tried again."


class NotTakenError(DeliveryError):
    """The destination did not take all objects."""

    code = "destination_refused"
    default_hint = "See the destination's own log; it is tried again."


class NeverTakenError(DeliveryError):
    """The destination does not support the class of an object."""

    code = "destination_unsupported"
    default_hint = (
        "Allow the class there, or leave it out by `objects` of the destination; then requeue"
        " the delivery with `pleura jobs`."
    )
    final = True
