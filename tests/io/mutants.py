"""Mutants of whole files, each made anew from a seed and a number.

Sources and numbers alone decide what a mutant is: with the same real files, or without any, the
same (seed, number) is the same file.
"""

from dataclasses import dataclass
from pathlib import Path
from random import Random

import byte_mutations
import dicom_mutations
import pixel_mutations
import raster_mutations
import stream_mutations
from byte_mutations import Mutation
from dicom_anatomy import deflated
from mutant_sources import KINDS, Source, made, names, real, real_files

ENCAPSULATED = frozenset({"RLE", "JPEG", "JPEG-LS", "JPEG 2000", "HTJ2K", "real DICOM"})
ANY_FILE = (*byte_mutations.BYTES, "splice")
SHARE_OF_REAL = 4
"""One mutant in so many comes from a real file, where there are any."""
GENERAL = 0.35
"""Share of damage that any file can take; the other is made for the format."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A damaged file.

    Attributes:
        kind: of the source.
        source: name of the source.
        mutation: what was done to it, or `several`.
        done: all that was done to it, in order.
        dicom: whether it was a DICOM file.
        suffix: of the file on disk, or "" for bytes in memory.
    """

    seed: int
    number: int
    kind: str
    source: str
    mutation: str
    done: tuple[str, ...]
    data: bytes
    dicom: bool = True
    suffix: str = ""


def mutant(seed: int, number: int, folder: Path | None = None) -> Mutant:
    """One mutant.

    Args:
        seed: of the run.
        number: within the run.
        folder: of the real files, or None to use made ones alone.
    """
    rng = Random(f"{seed}/{number}")
    source = _source(rng, folder if number % SHARE_OF_REAL == 0 else None)
    mutations = mutations_for(source)
    times = rng.choices((1, 2, 3), (7, 2, 1))[0]
    done: list[str] = []
    data = source.data
    packed = not source.deflated
    for _ in range(times):
        general = rng.random() < GENERAL
        name = rng.choice([name for name in mutations if (name in ANY_FILE) == general])
        done.append(name)
        data = _mutate(rng, data, name, mutations, source, folder)
        if name == "inflation":
            packed = True
            break
    if not packed:
        data = deflated(data)
        if rng.random() < 0.2:
            done.append("bits of the deflated")
            data = byte_mutations.bits(rng, data)
    mutation = done[0] if len(done) == 1 else "several"
    return Mutant(
        seed=seed,
        number=number,
        kind=source.kind,
        source=source.name,
        mutation=mutation,
        done=tuple(done),
        data=data,
        dicom=source.dicom,
        suffix=source.suffix,
    )


def mutations_for(source: Source) -> dict[str, Mutation]:
    """What can be done to a file, by name; `splice` needs another file and is done here."""
    found = dict.fromkeys(ANY_FILE, byte_mutations.bits) | byte_mutations.BYTES
    if source.dicom:
        found |= dicom_mutations.DICOM
        if source.kind in ENCAPSULATED:
            found |= pixel_mutations.PIXELS
    found |= {
        "PNG": raster_mutations.PNG,
        "TIFF": raster_mutations.TIFF,
        "JPEG file": stream_mutations.STREAMS,
        "zip": raster_mutations.ARCHIVES,
        "tar": raster_mutations.ARCHIVES,
    }.get(source.kind, {})
    if source.deflated:
        found["inflation"] = pixel_mutations.inflation
    return found


def _source(rng: Random, folder: Path | None) -> Source:
    if folder is not None:
        return real(rng.choice(real_files(folder, radiographs=rng.random() < 0.7)))
    kind = rng.choice(KINDS)
    return made(kind, rng.choice(names(kind)))


def _mutate(
    rng: Random,
    data: bytes,
    name: str,
    mutations: dict[str, Mutation],
    source: Source,
    folder: Path | None,
) -> bytes:
    if name == "splice":
        return byte_mutations.splice(rng, data, _source(rng, folder).data)
    return mutations[name](rng, data)
