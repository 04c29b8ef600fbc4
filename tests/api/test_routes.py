"""What all routes have in common (VER-1 to VER-7, ERR-31, HDR-10, HDR-16, D-1, D-2, D-4, D-6)."""

from __future__ import annotations

import pytest

from tests import builders
from tests.support.dicomweb import store
from tests.support.host import Host


@pytest.mark.parametrize("version", ["v0", "v3", "v2.1", "v1.0-prerelease"])
@pytest.mark.parametrize("path", ["studies", "studies/1.2/metadata", "changefeed", "partitions/p/studies"])
def test_unsupported_version(host: Host, version: str, path: str) -> None:
    """VER-3, D-1."""
    response = host.get(f"/{version}/{path}")
    assert response.status_code == 400
    assert response.headers["api-supported-versions"] == "1, 2"
    error = response.json()["error"]
    assert error["code"] == "UnsupportedApiVersion"
    assert error["message"] == (
        f"The HTTP resource that matches the request URI '{host.url}/{version}/{path}' "
        f"does not support the API version '{version[1:]}'."
    )


@pytest.mark.parametrize(
    "path",
    ["studies", "studies/1.2", "changefeed", "vabc/studies", "x/changefeed", "v2", "v2/nothing",
     "v2/studies/1.2/nothing", "v2/studies/1.2/series/1.3/nothing", "v2/partitions/p", "v2/partitions/p/changefeed",
     "v2/health/check", "v2/studies//series"],
)  # fmt: skip
def test_unknown_route(host: Host, path: str) -> None:
    """VER-2, VER-3, PART-4, VER-9, CL-8. Most of these are answers of the host, which finds no function: they have no id."""
    assert host.get(f"/{path}").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "studies", "GET, HEAD, OPTIONS, POST"),
        ("PATCH", "studies/1.2", "DELETE, GET, HEAD, OPTIONS, POST"),
        ("POST", "studies/1.2/metadata", "GET, HEAD, OPTIONS"),
        ("POST", "partitions/p/series", "GET, HEAD, OPTIONS"),
        ("PUT", "changefeed", "GET, HEAD, OPTIONS"),
        ("POST", "studies/1.2/series/1.2", "DELETE, GET, HEAD, OPTIONS"),
    ],
)
def test_method_that_a_resource_does_not_have(host: Host, method: str, path: str, allow: str) -> None:
    """ERR-31."""
    response = host.call(method, f"/v2/{path}", b"")
    assert response.status_code == 405
    assert set(allow.split(", ")) <= set(response.headers["Allow"].split(", "))
    assert method not in response.headers["Allow"].split(", ")


def test_headers_of_every_answer(host: Host) -> None:
    """D-6, HDR-10, HDR-16, VER-5."""
    answers = [
        host.get("/v2/studies?limit=1"),
        host.get("/v2/studies?limit=0"),
        host.get("/v2/studies/1.2.3"),
        host.get("/v2/changefeed"),
        host.call("PATCH", "/v2/studies"),
        host.call("HEAD", "/v1/changefeed"),
        host.call("POST", "/v1/studies/$bulkUpdate"),
        host.get("/v2/api.json"),
        host.get("/health/check"),
        host.get(f"/v2/studies?{'a' * 10000}"),
        host.call("OPTIONS", "/v2/studies"),
        store(host, builders.instance()),
        store(host, b""),
        host.get("/v3/studies"),
        host.get("/vabc/studies"),
        host.get("/v2/studies", Accept="text/plain"),
        host.call("HEAD", "/v2/changefeed"),
        host.get("/health/check"),
    ]
    statuses = [each.status_code for each in answers][1:]
    assert statuses == [400, 404, 200, 405, 200, 404, 200, 200, 414, 204, 200, 409, 400, 404, 406, 200, 200]
    for response in answers:
        assert response.headers["api-supported-versions"] == "1, 2"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Frame-Options"] == "SAMEORIGIN"
        assert response.headers["Content-Security-Policy"] == "frame-src 'self';"
        assert "Origin" in response.headers["Vary"]
    ids = [each.headers["x-ms-request-id"] for each in answers]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("path", "accept", "status", "title"),
    [
        ("/v2/studies/x", "*/*", 400, "Bad Request"),
        ("/v2/studies/1.2.3", "*/*", 404, "Not Found"),
        ("/v2/studies", "text/plain", 406, "Not Acceptable"),
        ("/v2/operations/x", "*/*", 400, "Bad Request"),
    ],
)
def test_problem_bodies(host: Host, path: str, accept: str, status: int, title: str) -> None:
    """D-2, RFC 9457."""
    response = host.get(path, Accept=accept)
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert (body["type"], body["title"], body["status"]) == ("about:blank", title, status)
    assert body["detail"]


def test_options(host: Host) -> None:
    """D-4: without an origin it tells the methods, and nothing of CORS."""
    response = host.call("OPTIONS", "/v2/studies/1.2/metadata")
    assert response.status_code == 204
    assert {"GET", "HEAD", "OPTIONS"} == set(response.headers["Allow"].split(", "))
    assert "Access-Control-Allow-Origin" not in response.headers


def test_trailing_slash_and_case(host: Host) -> None:
    """The host matches literals in any case and ignores a slash at the end, as ASP.NET Core does."""
    assert host.get("/v2/Studies/1.2.3/SERIES/").status_code == 204
