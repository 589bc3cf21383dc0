"""Auth keys: `<user_id>.<secret>`. The secret is 32 random bytes in base64url; only its SHA-256 is ever stored."""

import hashlib
import re
import secrets

KEY = re.compile(r"([0-9a-f]{32})\.([A-Za-z0-9_-]{43})", re.ASCII)
HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)


def new_user_id() -> str:
    return secrets.token_hex(16)


def new_secret() -> str:
    return secrets.token_urlsafe(32)


def hashed(secret: str) -> str:
    """What is stored of a secret: a plain SHA-256, since nobody can guess 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def parse(auth_key: str) -> tuple[str, str] | None:
    """(user_id, hashed secret) of a well-formed key."""
    match = KEY.fullmatch(auth_key)
    return (match[1], hashed(match[2])) if match else None
