"""The token endpoints: a code for tokens (RFC 6749, RFC 7636), and Apple's way of taking them back.

Like id_tokens.py, imported by the first login only.
"""

import hashlib
import logging
import time
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote_plus, urlencode

import jwt
from django.conf import settings

from accounts.providers import http as remote
from accounts.providers.http import refused
from accounts.providers.id_tokens import endpoints
from accounts.providers.table import Provider

log = logging.getLogger(__name__)

APPLE = "https://appleid.apple.com"
# What a provider says of a bad code; every other error means that our own registration there is wrong.
BAD_CODE = {"invalid_grant", "invalid_request", "bad_verification_code"}
BAD_CODE_OF_FACEBOOK = {100, 190}


def authorize(provider: Provider, *, redirect_uri: str, state: str, nonce: str, code_verifier: str) -> str:
    """Where to send a browser, so that it comes back to `redirect_uri` with a code.

    The nonce goes there as a hash, and the verifier as its S256 challenge.
    """
    query = {
        "response_type": "code",
        "client_id": provider.client_ids[0],
        "redirect_uri": redirect_uri,
        "scope": provider.scope,
        "state": state,
    }
    if provider.code_gives == "id_token":
        query["nonce"] = hashlib.sha256(nonce.encode()).hexdigest()
    if provider.pkce:
        challenge = urlsafe_b64encode(hashlib.sha256(code_verifier.encode()).digest()).decode().rstrip("=")
        query |= {"code_challenge": challenge, "code_challenge_method": "S256"}
    if provider.form_post:
        query["response_mode"] = "form_post"
    url = endpoints(provider).authorize
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"


def redeem(
    provider: Provider, *, code: str, redirect_uri: str, code_verifier: str, client_id: str = ""
) -> dict[str, object]:
    """The provider's tokens for a code. `client_id` is whose the code is, where that is not the first one.

    Raises 401 for a code that is used, expired, of another client or without its verifier.
    """
    client_id = client_id or provider.client_ids[0]
    where = endpoints(provider)
    form = {"grant_type": "authorization_code", "code": code, "client_id": client_id}
    form |= {"redirect_uri": redirect_uri} if redirect_uri else {}
    form |= {"code_verifier": code_verifier} if code_verifier else {}
    headers = {}
    secret = apple_secret(client_id) if provider.provider == "apple" else provider.client_secret
    if secret and where.basic:
        del form["client_id"]
        headers["Authorization"] = basic(quote_plus(client_id), quote_plus(secret))
    elif secret:
        form["client_secret"] = secret
    status, answer = remote.call("POST", where.token, form=form, headers=headers)
    if status == 200 and "error" not in answer:
        return answer
    error = answer.get("error")
    name = error.get("code") if isinstance(error, dict) else error
    if isinstance(name, str | int) and name in BAD_CODE | BAD_CODE_OF_FACEBOOK:
        raise refused("the provider does not accept the code")
    log.error("%s refuses to exchange codes for this server (%s)", provider.provider, status)
    raise remote.unavailable()


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def apple_secret(client_id: str) -> str:
    """Apple's client secret: a short-lived token that is signed with the team's key.

    https://developer.apple.com/documentation/accountorganizationaldatasharing/creating-a-client-secret
    """
    issued_at = int(time.time())
    claims = {"iss": settings.APPLE_TEAM_ID, "iat": issued_at, "exp": issued_at + 300, "aud": APPLE, "sub": client_id}
    try:
        return jwt.encode(claims, settings.APPLE_PRIVATE_KEY, "ES256", {"kid": settings.APPLE_KEY_ID})
    except (jwt.PyJWTError, ValueError):
        log.error("APPLE_PRIVATE_KEY is missing, or no key that Apple gives out")  # noqa: TRY400 - no key in a log
        raise remote.unavailable() from None


def revoke(refresh_token: str, client_id: str) -> None:
    """End what Apple gave us for one person, as it demands when an account is deleted.

    Raises 503 when Apple does not do it. A token that Apple does not know any more is revoked.
    https://developer.apple.com/documentation/signinwithapplerestapi/revoke-tokens
    """
    form = {"client_id": client_id, "client_secret": apple_secret(client_id)}
    form |= {"token": refresh_token, "token_type_hint": "refresh_token"}
    status, answer = remote.call("POST", f"{APPLE}/auth/revoke", form=form)
    if status != 200 and answer.get("error") != "invalid_grant":
        log.error("Apple refuses to revoke a token (%s)", status)
        raise remote.unavailable()
