"""Finding instances with QIDO-RS (PS3.18 10.6): studies, their series, their instances."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from pleura.io import tags
from pleura.io.elements import Header
from pleura.io.patient import read_age
from pleura.service.dicomweb import DicomWeb, content
from pleura.service.errors import PullError
from pleura.service.node.contexts import IMAGES
from pleura.service.node.heading import well_formed

_PAGE = 200
_AGE_TAGS = (tags.PATIENT_AGE, tags.PATIENT_BIRTH_DATE, tags.STUDY_DATE)
_LONGEST_ANSWER = 64 << 20

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Criteria:
    """Which radiographs are wanted.

    Attributes:
        study_instance_uid: of one study; None for all.
        from_date: earliest Study Date.
        to_date: latest Study Date.
        modalities: of the series.
        age_min: youngest age in years; those whose age the server does not state are wanted.
        limit: most instances that are fetched.
    """

    study_instance_uid: str | None = None
    from_date: date | None = None
    to_date: date | None = None
    modalities: tuple[str, ...] = ("CR", "DX")
    age_min: float | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance on the server."""

    study: str
    series: str
    instance: str

    @property
    def path(self) -> str:
        """Where it is retrieved (PS3.18 table 10.4.1-1)."""
        return f"/studies/{self.study}/series/{self.series}/instances/{self.instance}"


def search(web: DicomWeb, criteria: Criteria) -> Iterator[tuple[str, Iterator[Instance]]]:
    """Studies that are wanted, each with its instances that are.

    Each study is asked for series of one modality after the other: a list of modalities is matched
    by few servers.

    Raises:
        DeliveryError: the server gives no answer, or does not allow it.
        PullError: its answer is none to the question.
    """
    for modality in criteria.modalities:
        query = {"ModalitiesInStudy": modality} | _study_query(criteria)
        for found in _pages(web, "/studies", query, "0020000D"):
            study = _uid(found, "0020000D")
            if _old_enough(found, criteria.age_min):
                yield study, _instances(web, study, modality)


def _instances(web: DicomWeb, study: str, modality: str) -> Iterator[Instance]:
    base = f"/studies/{study}/series"
    for found in _pages(web, base, {"Modality": modality}, "0020000E"):
        if _text(found, "00080060") not in ("", modality):
            continue
        series = _uid(found, "0020000E")
        for image in _pages(web, f"{base}/{series}/instances", {}, "00080018"):
            if _text(image, "00080016") in ("", *IMAGES):
                yield Instance(study, series, _uid(image, "00080018"))


def _study_query(criteria: Criteria) -> dict[str, Any]:
    query: dict[str, Any] = {"includefield": ["00101010", "00100030", "00080020"]}
    if criteria.study_instance_uid is not None:
        query["StudyInstanceUID"] = criteria.study_instance_uid
    if criteria.from_date is not None or criteria.to_date is not None:
        first, last = (
            "" if day is None else f"{day:%Y%m%d}" for day in (criteria.from_date, criteria.to_date)
        )
        query["StudyDate"] = f"{first}-{last}"
    return query


def _pages(web: DicomWeb, path: str, query: dict[str, Any], key: str) -> Iterator[Entry]:
    """All entries of a search, each once; `key` names the UID that tells them apart.

    A server may give fewer at a time than it is asked for, and then says so by a warning; one that
    knows no pages gives the same again. What has no proper UID cannot be asked for.
    """
    seen: set[str] = set()
    while True:
        page, more = _page(web, path, query | {"limit": _PAGE, "offset": len(seen)})
        new = {uid: entry for entry in page if (uid := _uid(entry, key)) and uid not in seen}
        seen.update(new)
        yield from new.values()
        if not new or (len(page) < _PAGE and not more):
            return


def _page(web: DicomWeb, path: str, query: dict[str, Any]) -> tuple[list[Entry], bool]:
    """Entries of one page, and whether the server says that there are more."""
    headers = {"Accept": "application/dicom+json"}
    with web.request("GET", path, params=query, headers=headers, stream=True) as answer:
        if answer.status_code == 204:
            return [], False
        if answer.status_code != 200:
            raise PullError(f"The server answered a search with HTTP {answer.status_code}.")
        try:
            entries = json.loads(content(answer, _LONGEST_ANSWER))
        except ValueError:  # its text may quote the answer
            entries = None
        if not isinstance(entries, list):
            raise PullError("The server answered a search with something else than a JSON list.")
        more = answer.headers.get("Warning", "").startswith("299")
        return [entry for entry in entries if isinstance(entry, dict)], more


def _text(entry: Entry, tag: str) -> str:
    element = entry.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    first = values[0] if isinstance(values, list) and values else ""
    return first.strip() if isinstance(first, str) else ""


def _uid(entry: Entry, tag: str) -> str:
    """A UID, which becomes a part of paths; "" where it is none."""
    return well_formed(_text(entry, tag))


def _old_enough(study: Entry, age_min: float | None) -> bool:
    if age_min is None:
        return True
    elements: dict[BaseTag, RawDataElement | DataElement] = {}
    for tag in _AGE_TAGS:
        value = _text(study, f"{tag:08X}").encode("ascii", "replace")
        elements[BaseTag(tag)] = RawDataElement(
            BaseTag(tag), None, len(value), value, 0, True, True
        )
    age, _ = read_age(Header(Dataset(elements)))
    return age is None or age >= age_min
