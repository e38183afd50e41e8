"""What is watched while it runs, and when somebody is told."""

from pydantic import Field

from pleura.service.settings.section import Section


class WatchSettings(Section):
    """Bounds of the day's figures, the daily self-test, and who is told of an alarm.

    The tests behind the bounds are described in docs/drift.md.
    """

    enabled: bool = Field(
        default=True, description="Whether days are summed up and held against the reference."
    )
    selftest: bool = Field(
        default=True,
        description="Whether the model judges synthetic radiographs at start and once a day.",
    )
    selftest_seconds: float = Field(
        default=300, gt=0, description="Seconds after which a self-test counts as failed."
    )
    reference_days: int = Field(
        default=14,
        ge=1,
        description="Days with images after which the reference is taken by itself; whole weeks"
        " hold every weekday as often.",
    )
    reference_images: int = Field(
        default=200, ge=20, description="Judged images that a reference needs."
    )
    min_images: int = Field(
        default=50,
        ge=10,
        description="Images that a day or a week needs to be held against bounds.",
    )
    false_alarms_per_year: float = Field(
        default=1,
        gt=0,
        le=50,
        description="Alarms by chance in a year that are put up with; it sets the level of every"
        " test.",
    )
    positive_rate_change: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Smallest change of the share of positives that is told, as a share of 1.",
    )
    refusal_rate_change: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Smallest change of the share of refusals that is told, as a share of 1.",
    )
    score_distance: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Smallest Kolmogorov-Smirnov distance of the scores that is told.",
    )
    failure_share: float = Field(
        default=0.02, gt=0, lt=1, description="Share of failed jobs above which there is an alarm."
    )
    latency_p95_seconds: float = Field(
        default=120,
        gt=0,
        description="Seconds from receipt to result that 95 of 100 images may take at most.",
    )
    latency_factor: float = Field(
        default=3,
        gt=1,
        description="How many times the reference's 95th percentile they may take at most.",
    )
    alert_command: tuple[str, ...] = Field(
        default=(),
        description="Program and arguments that are run for an alarm; it gets JSON on its standard"
        " input.",
    )
    alert_url: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="Address that an alarm is posted to as JSON; it may hold a secret.",
    )
    alert_seconds: float = Field(
        default=10, gt=0, le=60, description="Seconds that the program or the address may take."
    )
    alert_attempts: int = Field(
        default=3, ge=1, le=10, description="Tries of the address before it is given up."
    )
