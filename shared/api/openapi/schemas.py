"""The JSON that the service takes and gives, as JSON Schema (OpenAPI 3.1 4.8.24). Rules stand where the code is."""

from __future__ import annotations

from typing import Any, Final

from shared.dicom.updatable import UPDATABLE
from shared.services.query_tags import MOST_TAGS
from shared.services.update_request import MOST_STUDIES

type Schema = dict[str, Any]

UID: Final[Schema] = {"type": "string", "pattern": "^[0-9.]{0,63}[0-9]$", "examples": ["1.2.840.113619.2.55.3"]}
GUID: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{32}$", "examples": ["1323c079a1b64efcb8943ef7707b5438"]}
URL: Final[Schema] = {"type": "string", "format": "uri"}
TEXT: Final[Schema] = {"type": "string"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_MOMENT: Final[Schema] = {"type": "string", "format": "date-time"}
_QUERY_STATUS: Final[Schema] = {"enum": ["enabled", "disabled"]}
_FLAG: Final[Schema] = {"type": "boolean"}


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: Schema, **bounds: int) -> Schema:
    return {"type": "array", "items": items, **bounds}


def _object(required: dict[str, Schema], **optional: Schema) -> Schema:
    return {"type": "object", "required": list(required), "properties": required | optional}


SCHEMAS: Final[dict[str, Schema]] = {
    "Problem": {
        "description": "RFC 9457.",
        **_object({"type": TEXT, "title": TEXT, "status": {"type": "integer"}, "detail": TEXT}),
    },
    "Element": {
        "description": "An element of the DICOM JSON model (PS3.18 F.2.2).",
        **_object({"vr": {"type": "string", "pattern": "^[A-Z]{2}$"}}, Value={"type": "array"}, BulkDataURI=TEXT),
    },
    "DataSet": {
        "description": "A data set of the DICOM JSON model (PS3.18 F.2): elements by tag.",
        "type": "object",
        "propertyNames": {"pattern": "^[0-9A-F]{8}$"},
        "additionalProperties": reference("Element"),
    },
    "DataSets": array(reference("DataSet")),
    "BulkUpdate": _object(
        {
            "studyInstanceUids": array(UID, minItems=1, maxItems=MOST_STUDIES),
            "changeDataset": {
                "description": "The new elements by tag or keyword. An element without Value clears the attribute.",
                "type": "object",
                "minProperties": 1,
                "properties": {
                    f"{tag:08X}": {**_object({"vr": {"const": vr}}, Value={"type": "array"})}
                    for tag, vr in sorted(UPDATABLE.items())
                },
            },
        }
    ),
    "BulkUpdatePreview": _object(
        {
            "studyProcessed": COUNT,
            "studyUpdated": COUNT,
            "studyFailed": COUNT,
            "instanceUpdated": COUNT,
            "studies": array(
                _object(
                    {
                        "studyInstanceUid": UID,
                        "found": _FLAG,
                        "instances": COUNT,
                        "attributes": {"type": "array"},
                        "problems": array(TEXT),
                    }
                )
            ),
        }
    ),
    "QueryTagEntries": array(
        _object(
            {"path": TEXT, "level": {"enum": ["Instance", "Series", "Study"]}},
            VR={"type": "string", "pattern": "^[A-Z]{2}$"},
            privateCreator=TEXT,
        ),
        minItems=1,
        maxItems=MOST_TAGS,
    ),
    "QueryTag": _object(
        {
            "path": TEXT,
            "vr": TEXT,
            "level": {"enum": ["instance", "series", "study"]},
            "status": {"enum": ["adding", "ready", "deleting"]},
            "queryStatus": _QUERY_STATUS,
        },
        privateCreator=TEXT,
        errors=_object({"count": COUNT, "href": URL}),
        operation=reference("OperationReference"),
    ),
    "QueryTagChange": _object({"queryStatus": _QUERY_STATUS}),
    "QueryTagError": _object(
        {
            "partitionName": TEXT,
            "studyInstanceUid": UID,
            "seriesInstanceUid": UID,
            "sopInstanceUid": UID,
            "createdTime": _MOMENT,
            "errorMessage": TEXT,
        }
    ),
    "OperationReference": _object({"id": GUID, "href": URL}),
    "Operation": _object(
        {
            "operationId": GUID,
            "type": {"enum": ["update", "reindex", "export"]},
            "createdTime": _MOMENT,
            "lastUpdatedTime": _MOMENT,
            "status": {
                "description": "v1 says `completed` instead of `succeeded`.",
                "enum": ["notStarted", "running", "succeeded", "completed", "failed", "canceled"],
            },
        },
        percentComplete={"type": "integer", "minimum": 0, "maximum": 100},
        resources=array(URL),
        results=_object(
            {},
            studyProcessed=COUNT,
            studyUpdated=COUNT,
            studyFailed=COUNT,
            instanceUpdated=COUNT,
            errors=array(TEXT),
        ),
    ),
    "ChangeFeedEntry": _object(
        {
            "sequence": {"type": "integer", "minimum": 1},
            "partitionName": TEXT,
            "studyInstanceUid": UID,
            "seriesInstanceUid": UID,
            "sopInstanceUid": UID,
            "action": {"enum": ["Create", "Update", "Delete"]},
            "timestamp": _MOMENT,
            "state": {"enum": ["Current", "Replaced", "Deleted"]},
        },
        metadata=reference("DataSet"),
    ),
    "Partition": _object({"partitionKey": COUNT, "partitionName": TEXT, "createdDate": _MOMENT}),
    "Health": _object(
        {
            "overallStatus": {"enum": ["Healthy", "Degraded", "Unhealthy"]},
            "details": array(_object({"name": TEXT, "status": TEXT, "description": TEXT})),
        }
    ),
}
