"""Which DICOM objects are let in as projection radiographs."""

import pytest
from dicom_maker import CR, CT, DX, SC, dataset, gradient

from pleura import errors
from pleura.io import read_radiograph


@pytest.mark.parametrize("modality", ["CT", "MR", "US", "MG", "XA", "RF", "PT", "NM", "SR", "SEG"])
@pytest.mark.parametrize("sop_class", [CR, SC, None])
def test_other_modalities_are_refused_by_name(modality: str, sop_class: str | None) -> None:
    ds = dataset(gradient(), SOPClassUID=sop_class, Modality=modality)
    ds.file_meta.MediaStorageSOPClassUID = sop_class or ""
    with pytest.raises(errors.NotProjectionRadiographError, match=modality):
        read_radiograph(ds)


@pytest.mark.parametrize(
    ("sop_class", "name"),
    [
        (CT, "CT Image Storage"),
        ("1.2.840.10008.5.1.4.1.1.1.2", "Mammography"),
        ("1.2.840.10008.5.1.4.1.1.1.3", "Intra-Oral"),
        ("1.2.840.10008.5.1.4.1.1.12.1", "Angiographic"),
        ("1.2.840.10008.5.1.4.1.1.88.11", "Text SR"),
        ("1.2.840.10008.5.1.4.1.1.66.4", "Segmentation"),
    ],
)
def test_other_sop_classes_are_refused_whatever_the_modality_says(
    sop_class: str, name: str
) -> None:
    with pytest.raises(errors.NotProjectionRadiographError, match=name):
        read_radiograph(dataset(gradient(), SOPClassUID=sop_class, Modality="CR"))


@pytest.mark.parametrize(
    ("sop_class", "modality", "notice"),
    [
        (CR, "CR", None),
        (CR, None, None),
        (DX, "DX", None),
        (SC, "CR", None),
        (SC, "OT", None),
        (SC, "SC", None),
        (SC, None, None),
        (SC + ".2", "DX", None),
        (None, "DX", "sop_class_unknown"),
        ("1.2.276.0.99.1", "CR", "sop_class_unknown"),
    ],
)
def test_radiographs_are_let_in(
    sop_class: str | None, modality: str | None, notice: str | None
) -> None:
    ds = dataset(gradient(), SOPClassUID=sop_class, Modality=modality)
    ds.file_meta.MediaStorageSOPClassUID = sop_class or ""
    codes = [said.code for said in read_radiograph(ds).notices]
    assert codes == ([notice] if notice else [])


def test_an_unknown_modality_is_not_repeated() -> None:
    with pytest.raises(errors.NotProjectionRadiographError) as caught:
        read_radiograph(dataset(gradient(), SOPClassUID=SC, Modality="QUIXOTE"))
    assert "QUIXOTE" not in str(caught.value)
