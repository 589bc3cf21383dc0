"""Auth keys: `<user_id>.<secret>`. The secret is a token as lib/secrets.py makes them.

What has to be read again, a provider's refresh token, is stored encrypted under SECRET_KEY.
"""

import re
import secrets
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils.crypto import salted_hmac

from lib.secrets import FORM, hashed
from recordings.keys import UserId

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

KEY = re.compile(rf"([0-9a-f]{{32}})\.({FORM})", re.ASCII)
HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)


def new_user_id() -> UserId:
    return UserId(secrets.token_hex(16))


def parse(auth_key: str) -> tuple[UserId, str] | None:
    """(user_id, hashed secret) of a well-formed key."""
    match = KEY.fullmatch(auth_key)
    return (UserId(match[1]), hashed(match[2])) if match else None


def sealed(text: str) -> str:
    """`text`, so that only this server can read it."""
    return _fernet().encrypt(text.encode()).decode()


def unsealed(token: str) -> str | None:
    """What was sealed under SECRET_KEY or one of its fallbacks; None when that key is gone."""
    from cryptography.fernet import InvalidToken  # see _fernet

    try:
        return _fernet().decrypt(token.encode()).decode()
    except InvalidToken:
        return None


def _fernet() -> "MultiFernet":
    from cryptography.fernet import Fernet, MultiFernet  # 20 ms of cold start that only Apple's logins need

    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    derived = (salted_hmac("accounts.keys.sealed", "", secret, algorithm="sha256").digest() for secret in secrets)
    return MultiFernet([Fernet(urlsafe_b64encode(key)) for key in derived])
