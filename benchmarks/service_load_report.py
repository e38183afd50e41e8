"""The tables of `load.py`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pleura.service.store import FINISHED
from service_samples import Sampler
from service_senders import Ledger
from service_traffic import Radiographs, Traffic
from service_verdict import Truth


@dataclass
class Phase:
    """A stretch of time with one kind of traffic.

    Attributes:
        name: of the phase.
        begin: seconds since 1970.
        numbers: of the images that were offered.
        seconds: that it lasted.
        withdrawn: images that were offered and never sent: every association was in use.
        load_average: of the machine in the last minute, at the end.
    """

    name: str
    begin: float
    numbers: range = range(0)
    seconds: float = 0.0
    withdrawn: int = 0
    load_average: float = 0.0

    @property
    def end(self) -> float:
        """Seconds since 1970."""
        return self.begin + self.seconds


@dataclass(frozen=True, slots=True)
class Ends:
    """When results were in the store, and at the destination, by SOP Instance UID."""

    judged: Mapping[str, float]
    delivered: Mapping[str, float]

    @classmethod
    def of(cls, truth: Truth) -> "Ends":
        """From the store's own times."""
        judged, delivered, uids = {}, {}, {}
        for job in truth.jobs:
            uids[job.id] = job.received.sop_instance_uid
            if job.state in FINISHED and job.finished_at is not None:
                judged[uids[job.id]] = job.finished_at.timestamp()
        for one in truth.deliveries:
            if one.finished_at is not None:
                delivered[uids[one.job_id]] = one.finished_at.timestamp()
        return cls(judged, delivered)


def print_traffic(phases: Sequence[Phase], ledger: Ledger, ends: Ends) -> None:
    """What was sent, and what was said."""
    print(
        "| phase | s | sent per minute | acknowledged | refused | never sent"
        " | judged per minute | delivered per minute | load average |\n" + "|---" * 9 + "|"
    )
    for phase in phases:
        minutes = phase.seconds / 60
        sent = len(phase.numbers) - phase.withdrawn
        taken = sum(number in ledger.acknowledged for number in phase.numbers)
        judged, delivered = (
            sum(phase.begin <= at < phase.end for at in times.values()) / minutes
            for times in (ends.judged, ends.delivered)
        )
        print(
            f"| {phase.name} | {phase.seconds:.0f} | {sent / minutes:.1f} | {taken}"
            f" | {sent - taken} | {phase.withdrawn} | {judged:.1f} | {delivered:.1f}"
            f" | {phase.load_average:.1f} |"
        )
    print()


def print_latencies(
    phases: Sequence[Phase], traffic: Traffic, ledger: Ledger, ends: Ends, radiographs: Radiographs
) -> None:
    """How long it took."""
    head = "| phase | what | n | p50 s | p95 s | p99 s | most s |"
    print(f"{head}\n|---|---|---|---|---|---|---|")
    for phase in phases:
        if not phase.numbers:
            continue
        taken = [number for number in phase.numbers if number in ledger.acknowledged]
        refused = [n for n in phase.numbers if n in traffic.seconds and n not in ledger.at]
        rows = {
            "C-STORE, acknowledged": [traffic.seconds[number] for number in taken],
            "C-STORE, refused": [traffic.seconds[number] for number in refused],
        }
        for name, times in (("result", ends.judged), ("delivered", ends.delivered)):
            uids = {number: radiographs.expected(number).sop_instance_uid for number in taken}
            rows[f"acknowledged to {name}"] = [
                times[uid] - ledger.at[number] for number, uid in uids.items() if uid in times
            ]
        for name, seconds in rows.items():
            if seconds:
                points = np.percentile(seconds, (50, 95, 99, 100))
                shown = " | ".join(f"{point:.2f}" for point in points)
                print(f"| {phase.name} | {name} | {len(seconds)} | {shown} |")
    print()


def print_memory(phase: Phase, images: int, sampler: Sampler) -> None:
    """Resident memory and processor time of each process in one phase."""
    print(
        f"{phase.name}, {phase.seconds / 60:.1f} minutes, {images} images judged:\n\n"
        "| process | MiB first | MiB last | MiB most | MiB per hour | MiB per 1000 images"
        " | processor ms per image |\n|---|---|---|---|---|---|---|"
    )
    for name, growth in sorted(sampler.growth(phase.begin, phase.end).items()):
        per_thousand = growth.mib_per_hour * phase.seconds / 3600 / max(images, 1) * 1000
        cpu_ms = 1000 * growth.cpu_seconds / max(images, 1)
        print(
            f"| {name.rpartition(' ')[0]} | {growth.first_mib:.1f} | {growth.last_mib:.1f}"
            f" | {growth.most_mib:.1f} | {growth.mib_per_hour:+.1f} | {per_thousand:+.1f}"
            f" | {cpu_ms:.0f} |"
        )
    print()
