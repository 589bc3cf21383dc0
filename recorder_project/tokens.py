"""Tokens that whoever holds them may use: 32 random bytes in base64url. Only their SHA-256 is ever stored."""

import hashlib
import re
import secrets

FORM = r"[A-Za-z0-9_-]{43}"
TOKEN = re.compile(FORM, re.ASCII)


def new_token() -> str:
    return secrets.token_urlsafe(32)


def hashed(token: str) -> str:
    """What is stored of a token: a plain SHA-256 in hex, since nobody can guess 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()
