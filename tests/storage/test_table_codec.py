"""Keys and values that go out come back; what is signed is what is sent."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

import orjson
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from shared.storage.batch import BatchFailure, batch, batch_result
from shared.storage.table_codec import Entity, Operation, Value, decode, encode, entity_path, literal

# What no key may hold: / \ # ? and control characters.
KEY = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\#?"))
VALUE: st.SearchStrategy[Value] = (
    st.text(st.characters(exclude_categories=["Cs"]))
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.booleans()
    | st.binary()
)
PROPERTIES = st.dictionaries(st.from_regex(r"[a-z][a-zA-Z0-9]{0,9}", fullmatch=True), VALUE)


@given(KEY, KEY)
def test_the_http_client_sends_the_path_that_was_signed(partition_key: str, row_key: str) -> None:
    url = f"http://127.0.0.1:10002/devstoreaccount1/{entity_path('table', partition_key, row_key)}"
    assert URL(url).raw_path == urlsplit(url).path
    assert unquote(urlsplit(url).path).endswith(
        f"table(PartitionKey={literal(partition_key)},RowKey={literal(row_key)})"
    )


@given(KEY, KEY, PROPERTIES)
def test_an_entity_comes_back(partition_key: str, row_key: str, properties: dict[str, Value]) -> None:
    entity = Entity(partition_key, row_key, properties, "etag")
    text = encode(entity)
    read = decode({"odata.etag": "etag", "Timestamp": "2020-01-01T00:00:00Z", **orjson.loads(text)})
    assert read == entity
    assert [type(value) for value in read.properties.values()] == [type(value) for value in properties.values()]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_an_entity_is_one_line(text: str) -> None:
    """Also for JavaScript, which ends lines at U+2028 and U+2029: Azurite looks for a line of JSON in a transaction."""
    encoded = encode(Entity("p", "r", {"text": text})).decode()
    assert re.search("[\n\r\u2028\u2029]", encoded) is None


def test_an_infinite_number_is_text_in_json() -> None:
    encoded = encode(Entity("p", "r", {"a": float("-inf"), "b": float("nan")}))
    assert orjson.loads(encoded)["a"] == "-Infinity"
    assert orjson.loads(encoded)["b"] == "NaN"


def test_a_transaction_on_the_wire() -> None:
    etag = "W/\"datetime'2020'\""
    operations = [
        Operation("insert", Entity("p", "it's", {"n": 1})),
        Operation("delete", Entity("p", "r", {}, etag)),
    ]
    content_type, body = batch("http://127.0.0.1/acme", "table", operations)
    boundary = content_type.removeprefix("multipart/mixed; boundary=")
    found = re.search(rb"boundary=(changeset_\S+)", body)
    assert found
    text = body.decode().replace(boundary, "BATCH").replace(found.group(1).decode(), "CHANGES").replace("\r\n", "\n")
    assert text == (
        "--BATCH\nContent-Type: multipart/mixed; boundary=CHANGES\n\n"
        "--CHANGES\nContent-Type: application/http\nContent-Transfer-Encoding: binary\nContent-ID: 0\n\n"
        "POST http://127.0.0.1/acme/table HTTP/1.1\nAccept: application/json;odata=nometadata\n"
        "Content-Type: application/json\nPrefer: return-no-content\nContent-Length: 71\n\n"
        '{"PartitionKey":"p","RowKey":"it\'s","n":"1","n@odata.type":"Edm.Int64"}\n'
        "--CHANGES\nContent-Type: application/http\nContent-Transfer-Encoding: binary\nContent-ID: 1\n\n"
        "DELETE http://127.0.0.1/acme/table(PartitionKey='p',RowKey='r') HTTP/1.1\n"
        f"Accept: application/json;odata=nometadata\nIf-Match: {etag}\nContent-Length: 0\n\n\n"
        "--CHANGES--\n\n--BATCH--\n"
    )


def test_the_answer_to_a_transaction() -> None:
    answer = (
        "--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=changesetresponse_1\r\n\r\n"
        "--changesetresponse_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        "HTTP/1.1 204 No Content\r\nLocation: http://a/t(PartitionKey='HTTP/1.1 404',RowKey='ETag: x')\r\n"
        "ETag: W/\"datetime'1'\"\r\n\r\n\r\n"
        "--changesetresponse_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        "HTTP/1.1 204 No Content\r\nX-Content-Type-Options: nosniff\r\n\r\n\r\n"
        "--changesetresponse_1--\r\n--batchresponse_1--\r\n"
    )
    assert batch_result(answer.encode()) == ["W/\"datetime'1'\"", ""]


def test_the_answer_to_a_transaction_that_fails() -> None:
    answer = (
        "--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=changesetresponse_1\r\n\r\n"
        "--changesetresponse_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        "HTTP/1.1 412 Precondition Failed\r\nDataServiceVersion: 3.0;\r\n\r\n"
        '{"odata.error":{"code":"UpdateConditionNotSatisfied","message":{"lang":"en-US",'
        '"value":"42:The update condition specified in the request was not satisfied."}}}\r\n'
        "--changesetresponse_1--\r\n--batchresponse_1--\r\n"
    )
    assert batch_result(answer.encode()) == BatchFailure(42, 412, "UpdateConditionNotSatisfied")
