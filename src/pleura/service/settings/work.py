"""Which model judges, and how workers behave."""

from typing import Literal

from pydantic import Field

from pleura.service.settings.section import Section


class ModelSettings(Section):
    """The model and what decides."""

    model: str | None = Field(
        default=None, description="Name or folder of a model; unset, the embedded one."
    )
    operating_point: str | None = Field(
        default=None, description="Name of the operating point; unset, the model's default."
    )
    gate: Literal["refuse", "warn", "off"] = Field(
        default="refuse",
        description="What happens to a picture that is no frontal chest radiograph.",
    )
    correct: bool = Field(
        default=False, description="Turn and invert pictures that lie wrong before they are judged."
    )
    engine: Literal["onnxruntime", "openvino", "openvino-bf16", "cuda", "tensorrt"] | None = Field(
        default=None,
        description="What runs the networks; unset, the engine that the model's files are for.",
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        description="Threads of one network run; unset, the cores shared by the workers.",
    )


class WorkerSettings(Section):
    """How many judge, and when a job is given up."""

    count: int = Field(
        default=1, ge=1, le=64, description="Processes that judge, each with its own model."
    )
    job_seconds: float = Field(
        default=60, gt=0, description="Seconds after which a worker counts as hung and is replaced."
    )
    lease_seconds: float = Field(
        default=90,
        gt=0,
        description="Seconds after which another worker may take a job over; above job_seconds.",
    )
    attempts: int = Field(default=5, ge=1, description="Tries before a job is given up.")
    delivery_attempts: int = Field(
        default=200,
        ge=1,
        description="Tries before a delivery is given up; 200 last about a day and a half.",
    )
    retry_seconds: float = Field(
        default=10,
        gt=0,
        description="Seconds before the second try; doubled each time, up to ten minutes.",
    )
    poll_seconds: float = Field(
        default=0.05,
        gt=0,
        description="Seconds between two looks for a new job when there is none.",
    )
    stop_seconds: float = Field(
        default=25,
        gt=0,
        description="Seconds in which a process that is told to stop finishes what is in hand; then"
        " it is given back. Let what stops the service wait 20 seconds longer.",
    )
    memory_mib: float = Field(
        default=2048,
        gt=0,
        description="Memory in MiB beyond which a process that judges ends after its job, and is"
        " replaced.",
    )
    formats: tuple[Literal["png", "seg", "sr", "sc"], ...] = Field(
        default=("png", "seg", "sr", "sc"), description="Results that are written beside the JSON."
    )
    seg_negatives: bool = Field(
        default=False, description="An empty segmentation where nothing is segmented."
    )
