"""Where jobs, images and results are kept, and for how long."""

from pathlib import Path

from pydantic import Field

from pleura.service.settings.section import Section


class StorageSettings(Section):
    """Data folder, database, retention, and when to take no more."""

    folder: Path = Field(
        default=Path("pleura-data"), description="Folder of images, results and the SQLite file."
    )
    database_url: str | None = Field(
        default=None,
        description="PostgreSQL, as postgresql://user:password@host/name, where several machines"
        " share the jobs; unset, a SQLite file in the folder.",
    )
    keep_inputs_days: float = Field(
        default=30, ge=0, description="Days after which the image of a finished job is removed."
    )
    keep_results_days: float = Field(
        default=90, ge=0, description="Days after which the results of a finished job are removed."
    )
    quota_gib: float = Field(
        default=50,
        gt=0,
        description="Size of images and results in GiB from which on the oldest are removed early.",
    )
    reserve_gib: float = Field(
        default=1, ge=0, description="Free disk space in GiB below which nothing more is taken."
    )
    queue_limit: int = Field(
        default=10_000, ge=1, description="Jobs that may wait; beyond that nothing more is taken."
    )
