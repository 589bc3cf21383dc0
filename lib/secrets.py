"""Tokens that whoever holds them may use: 32 random bytes in base64url. Only their SHA-256 is ever stored.

And passwords for who has none in mind.
"""

import hashlib
import re
import secrets

FORM = r"[A-Za-z0-9_-]{43}"
CLEAR = "23456789abcdefghijkmnpqrstuvwxyz"  # 32 characters, none of which is taken for another: no 0, 1, l, o
TOKEN = re.compile(FORM, re.ASCII)


def new_token() -> str:
    return secrets.token_urlsafe(32)


def new_password() -> str:
    """40 random bits to be read out and typed: throttles make them enough, where nobody has the hash."""
    return "".join(secrets.choice(CLEAR) for _ in range(8))


def hashed(token: str) -> str:
    """What is stored of a token: a plain SHA-256 in hex, since nobody can guess 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()
