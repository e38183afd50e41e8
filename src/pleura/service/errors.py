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


class WorkerDiedError(PleuraError):
    """Every worker that took the job died or hung."""

    code = "worker_died"
    default_hint = "Look at the worker's log; report the kind of image if it happens again."


class SupersededError(PleuraError):
    """The model was changed, and the image was received for the new one as well."""

    code = "superseded"
    default_hint = "See the other job of the same image."
