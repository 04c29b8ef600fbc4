"""All resources of the service: path, methods, handlers."""

from http import HTTPStatus

import azure.durable_functions as df
from fastapi import Response

from shared.api.bulk_data import get_bulk_data
from shared.api.bulk_update import post_bulk_update
from shared.api.change_feed import get_latest, get_page
from shared.api.delete import delete_resource
from shared.api.health import get_health
from shared.api.openapi.endpoints import get_json, get_yaml
from shared.api.operations import get_operation
from shared.api.partitions import get_partitions
from shared.api.query_tags import delete_tag, get_errors, get_tag, get_tags, patch_tag, post_tags
from shared.api.rendered import get_rendered, get_thumbnail
from shared.api.retrieve import get_frames, get_instances, get_metadata
from shared.api.search import search_at
from shared.api.store import post_instances, put_instances
from shared.dicom.searchable import Level
from shared.settings import Action
from shared.web.routing import Call, endpoint, resource, unversioned

blueprint = df.Blueprint()

STUDY = "studies/{study}"
SERIES = f"{STUDY}/series/{{series}}"
INSTANCE = f"{SERIES}/instances/{{instance}}"


@endpoint("store", Action.WRITE)
async def post_to_study(call: Call) -> Response:
    """`studies/$bulkUpdate` has the shape of `studies/{study}`, and the host knows no precedence among routes."""
    if call.path("study").lower() == "$bulkupdate":
        if call.version == "v1":  # VER-28
            return Response(status_code=HTTPStatus.NOT_FOUND)
        call.audit["operation"] = post_bulk_update.operation
        return await post_bulk_update.handle(call)
    return await post_instances.handle(call)


resource(
    blueprint,
    "studies",
    "studies",
    {"GET": search_at(Level.STUDY), "POST": post_instances, "PUT": put_instances},
)
resource(
    blueprint,
    "study",
    STUDY,
    {"GET": get_instances, "POST": post_to_study, "PUT": put_instances, "DELETE": delete_resource},
    durable=True,
)
resource(blueprint, "study_metadata", f"{STUDY}/metadata", {"GET": get_metadata})
resource(blueprint, "study_series", f"{STUDY}/series", {"GET": search_at(Level.SERIES)})
resource(blueprint, "study_instances", f"{STUDY}/instances", {"GET": search_at(Level.INSTANCE)})
resource(blueprint, "one_series", SERIES, {"GET": get_instances, "DELETE": delete_resource})
resource(blueprint, "series_metadata", f"{SERIES}/metadata", {"GET": get_metadata})
resource(blueprint, "series_instances", f"{SERIES}/instances", {"GET": search_at(Level.INSTANCE)})
resource(blueprint, "instance", INSTANCE, {"GET": get_instances, "DELETE": delete_resource})
resource(blueprint, "instance_metadata", f"{INSTANCE}/metadata", {"GET": get_metadata})
resource(blueprint, "frames", f"{INSTANCE}/frames/{{frames}}", {"GET": get_frames})
for name, path in (
    ("study", STUDY),
    ("series", SERIES),
    ("instance", INSTANCE),
    ("frame", f"{INSTANCE}/frames/{{frames}}"),
):
    resource(blueprint, f"{name}_rendered", f"{path}/rendered", {"GET": get_rendered})
    resource(blueprint, f"{name}_thumbnail", f"{path}/thumbnail", {"GET": get_thumbnail})
resource(blueprint, "bulk_data", f"{INSTANCE}/bulkdata/{{*path}}", {"GET": get_bulk_data})
resource(blueprint, "series", "series", {"GET": search_at(Level.SERIES)})
resource(blueprint, "instances", "instances", {"GET": search_at(Level.INSTANCE)})
resource(blueprint, "partitions", "partitions", {"GET": get_partitions}, partitioned=False)
resource(blueprint, "changefeed", "changefeed", {"GET": get_page}, partitioned=False)
resource(blueprint, "changefeed_latest", "changefeed/latest", {"GET": get_latest}, partitioned=False)
resource(blueprint, "operation", "operations/{operation}", {"GET": get_operation}, partitioned=False, durable=True)
resource(
    blueprint,
    "query_tags",
    "extendedquerytags",
    {"GET": get_tags, "POST": post_tags},
    partitioned=False,
    durable=True,
)
resource(
    blueprint,
    "query_tag",
    "extendedquerytags/{tag}",
    {"GET": get_tag, "PATCH": patch_tag, "DELETE": delete_tag},
    partitioned=False,
)
resource(blueprint, "query_tag_errors", "extendedquerytags/{tag}/errors", {"GET": get_errors}, partitioned=False)
resource(blueprint, "api_json", "api.json", {"GET": get_json}, partitioned=False)
resource(blueprint, "api_yaml", "api.yaml", {"GET": get_yaml}, partitioned=False)
unversioned(blueprint, "health", "health/check", {"GET": get_health})
