"""An authority of the tests' own: signs tokens, and publishes its keys over HTTP as OpenID Connect Discovery has it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.support.http_server import Handler, serving

AUDIENCE = "api://dicom"

type PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def rsa_key(number: int) -> rsa.RSAPrivateKey:
    """A key that is made once: that takes long."""
    return rsa.generate_private_key(65537, 2048)


class Issuer:
    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: dict[str, PrivateKey] = {}
        self.requests = 0
        self.is_down = False
        self._rotations = 0
        self.rotate()

    def rotate(self, *, elliptic: bool = False) -> str:
        """Replaces all keys by a new one, and returns its id."""
        self._rotations += 1
        key_id = uuid.uuid4().hex
        self.keys = {key_id: ec.generate_private_key(ec.SECP256R1()) if elliptic else rsa_key(self._rotations % 2)}
        return key_id

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Those of a good token; None takes one away."""
        now = int(time.time())
        good = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "caller",
            "exp": now + 600,
            "nbf": now,
            "roles": ["globalAdmin"],
        }
        return {name: value for name, value in {**good, **changes}.items() if value is not None}

    def token(self, **changes: Any) -> str:
        """A token signed with the newest key."""
        key_id, key = list(self.keys.items())[-1]
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        return jwt.encode(self.claims(**changes), key, algorithm, headers={"kid": key_id})

    def document(self, path: str) -> dict[str, Any] | None:
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        if path == "/keys":
            self.requests += 1
            return {"keys": [_public(key, key_id) for key_id, key in self.keys.items()]}
        return None


def _public(key: PrivateKey, key_id: str) -> dict[str, Any]:
    algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": key_id, "use": "sig"}  # type: ignore[arg-type]


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    class Documents(Handler):
        def do_GET(self) -> None:
            document = None if issuer.is_down else issuer.document(self.path)
            self.answer(200 if document else 503, json.dumps(document).encode())

    with serving(Documents) as port:
        issuer = Issuer(f"http://127.0.0.1:{port}")
        yield issuer
