"""Keys of a made-up login provider, and tokens signed with them: good ones, and every bad one a test can think of."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt import PyJWS
from jwt.algorithms import ECAlgorithm, RSAAlgorithm


@cache
def private_key(kind: str, name: str) -> Any:
    """One key for each name, made when it is first asked for."""
    if kind == "RS256":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: Any) -> bytes:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    raw: bytes = key.private_bytes(encoding, form, serialization.NoEncryption())
    return raw


def public_pem(key: Any) -> bytes:
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    raw: bytes = key.public_key().public_bytes(encoding, form)
    return raw


def jwk(kind: str, name: str, *, private: bool = False) -> dict[str, Any]:
    """The key `name` of `kind` (RS256 or ES256), as a key set shows it."""
    key = private_key(kind, name)
    algorithm = RSAAlgorithm if kind == "RS256" else ECAlgorithm
    found: dict[str, Any] = json.loads(algorithm.to_jwk(key if private else key.public_key()))
    found.pop("key_ops", None)
    return {**found, "kid": name, "alg": kind, "use": "sig"}


def jwks(*keys: tuple[str, str], private: bool = False) -> dict[str, Any]:
    return {"keys": [jwk(kind, name, private=private) for kind, name in keys]}


def sign(claims: Mapping[str, Any], kind: str = "RS256", name: str = "one", **header: Any) -> str:
    """A token of these claims; None takes one of the usual header's members away."""
    members = {key: value for key, value in {"kid": name, **header}.items() if value is not None}
    return PyJWS().encode(json.dumps(claims).encode(), private_key(kind, name), kind, members)


def claims(**changed: Any) -> dict[str, Any]:
    """What a token usually says; None takes a claim away."""
    now = int(time.time())
    usual = {"iss": "https://issuer.test", "aud": "app", "sub": "alice", "iat": now, "exp": now + 300}
    return {name: value for name, value in {**usual, **changed}.items() if value is not None}


def by_hand(header: Mapping[str, Any], payload: Mapping[str, Any], secret: bytes | None = None) -> str:
    """A token that no library would make: any header, and an HMAC of any bytes, or no signature at all."""
    signed = ".".join(b64(json.dumps(part).encode()) for part in (header, payload))
    return signed + "." + (b64(hmac.digest(secret, signed.encode(), "sha256")) if secret is not None else "")


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def hashed(nonce: str) -> str:
    """What an app gives the provider as its nonce."""
    return hashlib.sha256(nonce.encode()).hexdigest()
