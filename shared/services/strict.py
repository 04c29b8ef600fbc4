"""What v1 has against files that v2 stores with a warning (STOW-140, VER-20, VER-23)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shared.dicom import dicom_json, tags
from shared.dicom.element import ScannedFile
from shared.dicom.query_tag_rules import broken_tag_rule
from shared.dicom.searchable import MODALITIES_IN_STUDY, SEARCHABLE, Attribute, values
from shared.dicom.validation import Findings, comment, missing
from shared.services.summaries import indexable
from shared.services.tag_values import tag_element
from shared.storage.storage import Storage


async def strict_attributes(storage: Storage) -> list[Attribute]:
    """The attributes that searches know, those of extended query tags included."""
    extended = (await storage.query_tags.known(storage.change_feed.tags_version)).indexed
    return [*(attribute for attribute in SEARCHABLE.values() if attribute is not MODALITIES_IN_STUDY), *extended]


def strict_findings(findings: Findings, scan: ScannedFile, attributes: Sequence[Attribute]) -> Findings:
    """The findings with more failures: a PatientID without a value, and first values that cannot be indexed.

    Other attributes are not named in an answer of v1. Those with warnings are left out of the metadata all the same, since
    these are read through v2 as well.
    """
    lines = dicom_json.lines(dicom_json.encode(scan.dataset, scan.character_sets, scan.is_little_endian))
    found = {attribute: element for attribute in attributes if (element := tag_element(lines, attribute))}
    failures = dict(findings.failures)
    for attribute, element in found.items():
        value = indexable(element)
        if value and (reason := broken_tag_rule(attribute.vr, value)):
            text = f"Dicom element '{attribute.keyword}' failed validation for VR '{element['vr']}': {reason}"
            failures.setdefault(attribute.tag, comment(attribute.tag, text))
    if not any(indexable(element) for attribute, element in found.items() if attribute.tag == tags.PATIENT_ID):
        failures.setdefault(*missing(tags.PATIENT_ID))
    return replace(
        findings,
        failures=list(failures.items()),
        warnings=[] if failures else findings.warnings,
        multiple_values=any(len(values(element)) > 1 for element in found.values()),
    )
