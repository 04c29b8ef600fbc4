"""Who gets in (AUTH-1 to AUTH-13, RFC 6750, RFC 7519)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from shared.errors import Forbidden, Unauthenticated, Unavailable
from shared.settings import ALL_ACTIONS, Action, Settings
from shared.web import key_set
from shared.web.access import ANYBODY, Caller, Gate
from shared.web.key_set import is_safe
from tests.support.issuer import AUDIENCE, Issuer, rsa_key, running_issuer


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as running:
        yield running


def gate(issuer: Issuer, **settings: str) -> Gate:
    environment = {"DICOM_AUTHORITY": issuer.url, "DICOM_AUDIENCES": f"other, {AUDIENCE}"} | settings
    return Gate(Settings.from_environment(environment))


async def rejected(gate: Gate, authorization: str | None) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await gate.caller(authorization)
    return caught.value.challenge


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part(header)}.{part(claims)}"


async def test_authentication_that_is_off(issuer: Issuer) -> None:
    """AUTH-1: everything is allowed."""
    caller = await Gate(Settings.from_environment({"DICOM_AUTHENTICATION": "off"})).caller(None)
    assert caller is ANYBODY
    assert caller.actions == ALL_ACTIONS
    caller.may_use_all()


@pytest.mark.parametrize("elliptic", [False, True])
async def test_good_token(issuer: Issuer, elliptic: bool) -> None:
    """AUTH-2, AUTH-12: of an RSA or an elliptic key; the scheme in any case."""
    issuer.rotate(elliptic=elliptic)
    caller = await gate(issuer).caller(f"bearer {issuer.token()}")
    assert caller.actions == ALL_ACTIONS
    assert caller.claims["sub"] == "caller"


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic dXNlcg==", "token"])
async def test_no_token(issuer: Issuer, authorization: str | None) -> None:
    """AUTH-4: the challenge names the authority, and no error (RFC 6750 3.1)."""
    challenge = await rejected(gate(issuer), authorization)
    assert challenge == f'Bearer authorization_uri="{issuer.url}", resource_id="other", realm="other"'


@pytest.mark.parametrize(
    "changes",
    [{"aud": "somebody else"}, {"aud": None}, {"iss": "https://elsewhere"}, {"iss": None}, {"exp": None},
     {"exp": 1_600_000_000}, {"nbf": 4_000_000_000}, {"aud": ["x", "y"]}],
)  # fmt: skip
async def test_token_that_is_not_for_now_or_not_for_us(issuer: Issuer, changes: dict[str, Any]) -> None:
    """AUTH-4."""
    assert 'error="invalid_token"' in await rejected(gate(issuer), f"Bearer {issuer.token(**changes)}")


async def test_clocks_may_differ_a_little(issuer: Issuer) -> None:
    now = int(time.time())
    assert await gate(issuer).caller(f"Bearer {issuer.token(exp=now - 20, nbf=now - 60)}")
    assert await gate(issuer).caller(f"Bearer {issuer.token(nbf=now + 20)}")
    assert "expired" in await rejected(gate(issuer), f"Bearer {issuer.token(exp=now - 120)}")


async def test_signature_that_is_none(issuer: Issuer) -> None:
    """No algorithm, in any spelling."""
    [key_id] = issuer.keys
    for name in ("none", "None", "NONE", "nOnE"):
        token = unsigned({"alg": name, "typ": "JWT", "kid": key_id}, issuer.claims())
        for signature in ("", "x"):
            await rejected(gate(issuer), f"Bearer {token}.{signature}")


async def test_public_key_used_as_a_secret(issuer: Issuer) -> None:
    """The algorithm is the key's, not the token's."""
    [(key_id, key)] = issuer.keys.items()
    for encoding, form in (("PEM", "SubjectPublicKeyInfo"), ("DER", "SubjectPublicKeyInfo"), ("PEM", "PKCS1")):
        secret = key.public_key().public_bytes(
            getattr(serialization.Encoding, encoding), getattr(serialization.PublicFormat, form)
        )
        token = unsigned({"alg": "HS256", "typ": "JWT", "kid": key_id}, issuer.claims())
        signature = base64.urlsafe_b64encode(hmac.digest(secret, token.encode(), hashlib.sha256)).rstrip(b"=").decode()
        await rejected(gate(issuer), f"Bearer {token}.{signature}")


async def test_key_of_somebody_else(issuer: Issuer) -> None:
    [key_id] = issuer.keys
    other = rsa_key(2)
    for headers in ({"kid": key_id}, {"kid": "unknown"}, {}, {"kid": key_id, "jku": f"{issuer.url}/keys"}):
        token = jwt.encode(issuer.claims(), other, "RS256", headers=headers)
        await rejected(gate(issuer), f"Bearer {token}")
    embedded = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(other.public_key()))  # type: ignore[arg-type]
    token = jwt.encode(issuer.claims(), other, "RS256", headers={"kid": key_id, "jwk": embedded})
    await rejected(gate(issuer), f"Bearer {token}")


@pytest.mark.parametrize("token", ["x", "a.b.c", "....", "é.é.é", "eyJhbGciOiJSUzI1NiJ9.e30.", "x" * 20_000, "\0"])
async def test_token_that_is_none(issuer: Issuer, token: str) -> None:
    assert 'error="invalid_token"' in await rejected(gate(issuer), f"Bearer {token}")


async def test_altered_token(issuer: Issuer) -> None:
    header, claims, signature = issuer.token(roles=["globalReader"]).split(".")
    other = unsigned({}, issuer.claims()).split(".")[1]
    await rejected(gate(issuer), f"Bearer {header}.{other}.{signature}")
    await rejected(gate(issuer), f"Bearer {header}.{claims}.{signature[:-4]}AAAA")


async def test_keys_are_kept(issuer: Issuer) -> None:
    """Nor does a flood of unknown keys reach the authority."""
    one = gate(issuer)
    for _ in range(3):
        await one.caller(f"Bearer {issuer.token()}")
    assert issuer.requests == 1
    stranger = rsa_key(2)
    for number in range(5):
        token = jwt.encode(issuer.claims(), stranger, "RS256", headers={"kid": f"unknown {number}"})
        await rejected(one, f"Bearer {token}")
    assert issuer.requests == 1


async def test_rotated_keys(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new key is found when the first token comes that it has signed; a withdrawn one is no good any more."""
    monkeypatch.setattr(key_set, "LEAST_REFRESH_SECONDS", 0)
    monkeypatch.setattr(key_set, "RETRY_SECONDS", 0)
    one = gate(issuer)
    old = issuer.token()
    await one.caller(f"Bearer {old}")
    issuer.rotate()
    assert await one.caller(f"Bearer {issuer.token()}")
    await rejected(one, f"Bearer {old}")


async def test_authority_that_does_not_answer(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that are known still count; without any, the caller is asked to come again."""
    monkeypatch.setattr(key_set, "REFRESH_SECONDS", 0)
    monkeypatch.setattr(key_set, "RETRY_SECONDS", 0)
    one = gate(issuer)
    await one.caller(f"Bearer {issuer.token()}")
    issuer.is_down = True
    assert await one.caller(f"Bearer {issuer.token()}")
    with pytest.raises(Unavailable):
        await gate(issuer).caller(f"Bearer {issuer.token()}")


@pytest.mark.parametrize(
    ("roles", "actions"),
    [
        (["globalReader"], {"read"}),
        ("globalReader", {"read"}),
        (["write", "delete", "nobody knows"], {"write", "delete"}),
        (["manageExtendedQueryTags", "export"], {"manageExtendedQueryTags", "export"}),
        ([], set()),
        (None, set()),
        ([1, {"a": 2}], set()),
        ({"globalAdmin": 1}, set()),
    ],
)
async def test_roles(issuer: Issuer, roles: Any, actions: set[str]) -> None:
    """AUTH-6, AUTH-12, D-97: the union over the roles, unknown ones aside."""
    caller = await gate(issuer).caller(f"Bearer {issuer.token(roles=roles)}")
    assert caller.actions == actions
    for action in Action:
        if action in actions:
            caller.may(action)
        else:
            with pytest.raises(Forbidden):
                caller.may(action)


async def test_roles_of_the_operator(issuer: Issuer) -> None:
    """AUTH-6, AUTH-11."""
    settings = {"DICOM_ROLES": '{"doctor": ["read"], "owner": ["*"]}', "DICOM_ROLES_CLAIM": "role"}
    one = gate(issuer, **settings)
    assert (await one.caller(f"Bearer {issuer.token(role='doctor')}")).actions == {"read"}
    assert (await one.caller(f"Bearer {issuer.token(role=['owner'])}")).actions == ALL_ACTIONS
    assert not (await one.caller(f"Bearer {issuer.token()}")).actions


@pytest.mark.parametrize(
    ("hospital", "partitions"),
    [("a", {"p1", "p2"}), (["a", "b"], {"p1", "p2", "p3"}), (["a", "all"], None), ("unknown", set()), (None, set())],
)
async def test_partition_rules(issuer: Issuer, hospital: Any, partitions: set[str] | None) -> None:
    settings = {
        "DICOM_PARTITION_CLAIM": "hospital",
        "DICOM_PARTITION_RULES": '{"a": ["p1", "p2"], "b": ["p3"], "all": ["*"]}',
    }
    caller = await gate(issuer, **settings).caller(f"Bearer {issuer.token(hospital=hospital)}")
    assert caller.partitions == partitions
    assert caller.sees("p1") is (partitions is None or "p1" in partitions)
    if partitions is not None:
        with pytest.raises(Forbidden):
            caller.may_use("p9")
        with pytest.raises(Forbidden):
            caller.may_use_all()


def test_no_rules_no_borders() -> None:
    """AUTH-25."""
    Caller(frozenset()).may_use("any")


@pytest.mark.parametrize(
    ("url", "safe"),
    [("https://login.microsoftonline.com/t/v2.0", True), ("http://127.0.0.1:5/", True), ("http://localhost", True),
     ("http://example.org", False), ("file:///etc/passwd", False), ("ftp://x", False)],
)  # fmt: skip
def test_keys_come_by_https(url: str, safe: bool) -> None:
    assert is_safe(url) is safe
