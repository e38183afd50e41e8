"""What a DICOM object that is derived from a radiograph takes over from its header.

Patient, study, equipment and a few attributes of the image: a few kilobytes, never pixels, look-up
tables, overlays or private elements. Nothing is converted here, and so nothing is repaired.
"""

from copy import deepcopy
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

MAX_VALUE_BYTES = 0xFFFE
"""A longer value is left out; names, comments and coded reasons take at most a few hundred."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


PATIENT = _words(  # PS3.3 C.7.1.1
    "PatientName PatientID IssuerOfPatientID TypeOfPatientID IssuerOfPatientIDQualifiersSequence"
    " PatientBirthDate PatientBirthTime PatientBirthDateInAlternativeCalendar"
    " PatientDeathDateInAlternativeCalendar PatientAlternativeCalendar PatientSex"
    " QualityControlSubject SourcePatientGroupIdentificationSequence"
    " GroupOfPatientsIdentificationSequence ReferencedPatientSequence OtherPatientIDs"
    " OtherPatientIDsSequence OtherPatientNames EthnicGroup EthnicGroupCodeSequence"
    " PatientSpeciesDescription PatientSpeciesCodeSequence PatientBreedDescription"
    " PatientBreedCodeSequence BreedRegistrationSequence ResponsiblePerson ResponsiblePersonRole"
    " ResponsibleOrganization PatientComments PatientIdentityRemoved DeidentificationMethod"
    " DeidentificationMethodCodeSequence"
)
TRIAL_SUBJECT = _words(  # PS3.3 C.7.1.3
    "ClinicalTrialSponsorName ClinicalTrialProtocolID ClinicalTrialProtocolName"
    " IssuerOfClinicalTrialProtocolID OtherClinicalTrialProtocolIDsSequence ClinicalTrialSiteID"
    " ClinicalTrialSiteName IssuerOfClinicalTrialSiteID ClinicalTrialSubjectID"
    " IssuerOfClinicalTrialSubjectID ClinicalTrialSubjectReadingID"
    " IssuerOfClinicalTrialSubjectReadingID ClinicalTrialProtocolEthicsCommitteeName"
    " ClinicalTrialProtocolEthicsCommitteeApprovalNumber"
)
STUDY = _words(  # PS3.3 C.7.2.1
    "StudyInstanceUID StudyDate StudyTime StudyID AccessionNumber IssuerOfAccessionNumberSequence"
    " ReferringPhysicianName ReferringPhysicianIdentificationSequence ConsultingPhysicianName"
    " ConsultingPhysicianIdentificationSequence StudyDescription ProcedureCodeSequence"
    " PhysiciansOfRecord PhysiciansOfRecordIdentificationSequence NameOfPhysiciansReadingStudy"
    " PhysiciansReadingStudyIdentificationSequence ReferencedStudySequence RequestingService"
    " RequestingServiceCodeSequence ReasonForPerformedProcedureCodeSequence"
)
PATIENT_STUDY = _words(  # PS3.3 C.7.2.2
    "AdmittingDiagnosesDescription AdmittingDiagnosesCodeSequence PatientAge PatientSize"
    " PatientSizeCodeSequence PatientWeight PatientBodyMassIndex MeasuredAPDimension"
    " MeasuredLateralDimension MedicalAlerts Allergies SmokingStatus PregnancyStatus"
    " LastMenstrualDate PatientState Occupation AdditionalPatientHistory AdmissionID"
    " IssuerOfAdmissionIDSequence ServiceEpisodeID IssuerOfServiceEpisodeIDSequence"
    " ServiceEpisodeDescription PatientSexNeutered ReasonForVisit ReasonForVisitCodeSequence"
)
TRIAL_STUDY = _words(  # PS3.3 C.7.2.3
    "ClinicalTrialTimePointID ClinicalTrialTimePointDescription IssuerOfClinicalTrialTimePointID"
    " LongitudinalTemporalOffsetFromEvent LongitudinalTemporalEventType"
    " ClinicalTrialTimePointTypeCodeSequence ConsentForClinicalTrialUseSequence"
)
EQUIPMENT = _words(  # PS3.3 C.7.5.1
    "Manufacturer ManufacturerModelName DeviceSerialNumber SoftwareVersions InstitutionName"
    " InstitutionalDepartmentName StationName"
)
IMAGE = _words(  # PS3.3 C.7.6.1, 10.7.1.3, C.12.1
    "SpecificCharacterSet BurnedInAnnotation LossyImageCompression LossyImageCompressionRatio"
    " LossyImageCompressionMethod PixelSpacingCalibrationType"
)
IDENTITY = (*PATIENT, *TRIAL_SUBJECT, *STUDY, *PATIENT_STUDY, *TRIAL_STUDY)
"""Keywords of what says whose image it is, and of which study."""


def _tags(keywords: tuple[str, ...]) -> frozenset[int]:
    found = {keyword: tag_for_keyword(keyword) for keyword in keywords}
    return frozenset(tag for tag in found.values() if tag is not None)


IDENTITY_TAGS = _tags(IDENTITY)
EQUIPMENT_TAGS = _tags(EQUIPMENT)
ORIGIN_TAGS = IDENTITY_TAGS | EQUIPMENT_TAGS | _tags(IMAGE)


def origin_of(dataset: Dataset) -> Dataset:
    """The part of a header that derived objects take over.

    Args:
        dataset: a header; it is not changed.

    Returns:
        A new data set, which does not change with the other one. Elements that nobody has
        converted stay as they are in the file, with its character set and byte order.
    """
    kept: dict[BaseTag, RawDataElement | DataElement] = {}
    for tag in [tag for tag in dataset.keys() if tag in ORIGIN_TAGS]:  # noqa: SIM118 - raw keys
        # A deferred or otherwise lazily held value may raise anything that its file raises.
        try:
            element: Any = dataset.get_item(tag)
        except Exception:
            continue
        if isinstance(element, RawDataElement):
            if element.value is not None and len(element.value) <= MAX_VALUE_BYTES:
                kept[tag] = element
        else:
            kept[tag] = deepcopy(element)
    return Dataset(kept)
