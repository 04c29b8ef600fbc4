"""Where a search begins: which index rows it reads, and what it lets the storage service sort out. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from shared.dicom import tags
from shared.dicom.comparable import MOMENTS
from shared.dicom.searchable import (
    SEARCHABLE,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    Attribute,
    ExtendedAttribute,
    Level,
)
from shared.services.query import Condition, Query
from shared.storage import keys, marks
from shared.storage.lookups import Range, table_of

_SELECTIVE_FIRST = (
    tags.SOP_INSTANCE_UID,
    tags.SERIES_INSTANCE_UID,
    tags.ACCESSION_NUMBER,
    tags.PATIENT_ID,
    None,  # an extended query tag, whose rows alone have its value
    tags.PATIENT_NAME,
    tags.REFERRING_PHYSICIAN_NAME,
    tags.STUDY_DATE,
    tags.PATIENT_BIRTH_DATE,
    tags.STUDY_DESCRIPTION,
    tags.PERFORMED_PROCEDURE_STEP_START_DATE,
    tags.MANUFACTURER_MODEL_NAME,
    tags.MODALITIES_IN_STUDY,
    tags.MODALITY,
)


def named_studies(query: Query) -> Sequence[str]:
    """The studies that the path or a filter names; none if instances are named, too."""
    if any(item.attribute is SOP_INSTANCE_UID and item.equal for item in query.conditions):
        return ()
    if query.study:
        return [query.study]
    return next((item.equal for item in query.conditions if item.attribute is STUDY_INSTANCE_UID), ())


def most_selective(query: Query) -> Condition | None:
    """The condition to start from: a short list of equal values before ranges and prefixes. None: no index helps."""

    def cost(condition: Condition) -> tuple[int, int]:
        attribute = condition.attribute
        order = _SELECTIVE_FIRST.index(None if isinstance(attribute, ExtendedAttribute) else attribute.tag)
        kind = 0 if condition.equal else 1 if condition.word else 2 if condition.between or condition.prefix else 3
        return (kind, order)

    usable = [
        item
        for item in query.conditions
        if item.equal or item.word or item.prefix or item.between or _is_of_instances(item.attribute)
    ]
    return min(usable, key=cost, default=None)


def row_level(query: Query, start: Condition) -> Level:
    """The level of the index rows to read: instances have rows only by attributes of their own."""
    if query.level is Level.INSTANCE and start.attribute.level is not Level.INSTANCE:
        return Level.SERIES
    return query.level


def ranges(partition: str, condition: Condition, level: Level) -> list[Range]:
    """The index rows of a level among which all are that satisfy the condition."""
    table = table_of(condition.attribute)
    if condition.attribute is SOP_INSTANCE_UID:
        places = dict.fromkeys(keys.instance_partition(partition, value) for value in condition.equal)
        return [Range(table, level, place) for place in places]
    if condition.equal:
        return [Range(table, level, keys.value_partition(partition, value)) for value in condition.equal]
    if condition.word:
        first = last = keys.word_partition(partition, condition.word)
    elif condition.between:
        first, last = (keys.value_partition(partition, value) for value in condition.between)
    else:
        first = last = keys.value_partition(partition, condition.prefix)
    return [Range(table, level, first, keys.after(last))]


def extended(query: Query) -> list[ExtendedAttribute]:
    """The extended query tags that list all studies and series with a value of theirs, and so all that match."""
    tags = [item.attribute for item in query.conditions if isinstance(item.attribute, ExtendedAttribute)]
    return [tag for tag in tags if not _is_of_instances(tag)]


def marked(query: Query, tag: ExtendedAttribute | None = None) -> str:
    """A filter on the rows of all studies or series, or of all that have a value of `tag`, that leaves in whatever matches."""
    known = [item for item in query.conditions if item.attribute.tag in SEARCHABLE or item.attribute == tag]
    texts = [
        (item.attribute.key, part) for item in known if item.attribute.vr not in (*MOMENTS, "UI") for part in item.parts
    ]
    dates = [(item.attribute.key, *item.between) for item in known if item.between]
    dates += [
        (item.attribute.key, item.equal[0], item.equal[0])
        for item in known
        if item.equal and item.attribute.vr in MOMENTS
    ]
    return marks.condition(texts, dates)


def _is_of_instances(attribute: Attribute) -> bool:
    """Whether it is an extended query tag with a value for each instance."""
    return isinstance(attribute, ExtendedAttribute) and attribute.level is Level.INSTANCE


def is_in_order(query: Query, start: Condition) -> bool:
    """Whether the index rows come in the order of the answer."""
    return len(start.equal) == 1 and row_level(query, start) is query.level


def may_be_long(query: Query, start: Condition) -> bool:
    """Whether it may be quicker to go through everything, newest first, than to read the index of `start` to its end.

    Not when that names few, nor when nothing is asked for but what it has in the order of the answer.
    """
    return start.attribute.vr != "UI" and not (is_in_order(query, start) and len(query.conditions) == 1)
