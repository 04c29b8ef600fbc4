"""The attributes that a bulk update may change (UPD-15, UPD-80, D-68), each with its VR (PS3.6)."""

from __future__ import annotations

from typing import Final

UPDATABLE: Final[dict[int, str]] = {
    0x00080050: "SH",  # AccessionNumber
    0x00080090: "PN",  # ReferringPhysicianName
    0x00081030: "LO",  # StudyDescription
    0x00100010: "PN",  # PatientName
    0x00100020: "LO",  # PatientID
    0x00100021: "LO",  # IssuerOfPatientID
    0x00100022: "CS",  # TypeOfPatientID
    0x00100030: "DA",  # PatientBirthDate
    0x00100032: "TM",  # PatientBirthTime
    0x00100040: "CS",  # PatientSex
    0x00100200: "CS",  # QualityControlSubject
    0x00101000: "LO",  # OtherPatientIDs (retired)
    0x00101001: "PN",  # OtherPatientNames
    0x00101005: "PN",  # PatientBirthName
    0x00101010: "AS",  # PatientAge
    0x00101020: "DS",  # PatientSize
    0x00101030: "DS",  # PatientWeight
    0x00101040: "LO",  # PatientAddress
    0x00101060: "PN",  # PatientMotherBirthName
    0x00101080: "LO",  # MilitaryRank
    0x00101081: "LO",  # BranchOfService
    0x00101090: "LO",  # MedicalRecordLocator (retired)
    0x00102150: "LO",  # CountryOfResidence
    0x00102152: "LO",  # RegionOfResidence
    0x00102154: "SH",  # PatientTelephoneNumbers
    0x00102160: "SH",  # EthnicGroup
    0x00102180: "SH",  # Occupation
    0x001021F0: "LO",  # PatientReligiousPreference
    0x00102201: "LO",  # PatientSpeciesDescription
    0x00102292: "LO",  # PatientBreedDescription
    0x00102295: "LO",  # BreedRegistrationNumber
    0x00102297: "PN",  # ResponsiblePerson
    0x00102298: "CS",  # ResponsiblePersonRole
    0x00102299: "LO",  # ResponsibleOrganization
    0x00104000: "LT",  # PatientComments
    0x00403001: "LO",  # ConfidentialityConstraintOnPatientDataDescription
}
