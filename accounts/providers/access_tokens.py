"""Whose an access token is, and whether it was issued to one of our apps.

An access token says nothing by itself: without the second question, any app that somebody uses could sign in here as
that person. Each check returns the provider's subject and what it tells of the person.
"""

import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings

from accounts.providers import http as remote
from accounts.providers.code_flow import basic
from accounts.providers.http import refused
from accounts.providers.id_tokens import is_subject
from accounts.providers.table import Person, Provider, Told
from lib.parsers import JsonObject

log = logging.getLogger(__name__)

ANOTHER_APP = "it was issued for another app"


def check(provider: Provider, access_token: str) -> Person:
    """`sub`, and `email`, `email_verified` and `name` where known. Raises 401, or 503 without a sensible answer."""
    return CHECKS[provider.access_token](provider, access_token)


def _facebook(provider: Provider, access_token: str) -> Person:
    """https://developers.facebook.com/docs/facebook-login/guides/%20access-tokens/debugging"""
    secret = provider.client_secret
    query = {"input_token": access_token, "access_token": f"{provider.client_ids[0]}|{secret}"}
    status, answer = remote.call("GET", "https://graph.facebook.com/debug_token", query=query)
    token = _member(status, answer, "data")
    if not isinstance(token.get("is_valid"), bool):
        raise remote.unavailable()
    if not token["is_valid"] or token.get("type", "USER") != "USER":
        raise refused("it is not valid")
    if _id(token, "app_id") not in provider.client_ids:
        raise refused(ANOTHER_APP)
    if token.get("expires_at") and _number(token, "expires_at") <= time.time():
        raise refused("it has expired")
    proof = hmac.new(secret.encode(), access_token.encode(), hashlib.sha256).hexdigest()
    query = {"fields": "id,name,email", "access_token": access_token, "appsecret_proof": proof}
    status, person = remote.call("GET", "https://graph.facebook.com/me", query=query)
    claims = _person(status, person, _id(token, "user_id"), "id")
    return {**claims, "name": person.get("name"), "email": person.get("email")}


def _kakao(_: Provider, access_token: str) -> Person:
    """https://developers.kakao.com/docs/latest/en/kakaologin/rest-api#get-token-info"""
    headers = {"Authorization": f"Bearer {access_token}"}
    status, token = remote.call("GET", "https://kapi.kakao.com/v1/user/access_token_info", headers=headers)
    if status == 401 or token.get("code") == -2:
        raise refused("it is not valid")
    _expect_ok(status)
    if _id(token, "app_id") != settings.KAKAO_APP_ID:
        raise refused(ANOTHER_APP)
    if _number(token, "expires_in") <= 0:
        raise refused("it has expired")
    status, person = remote.call("GET", "https://kapi.kakao.com/v2/user/me", headers=headers)
    claims = _person(status, person, _id(token, "id"), "id")
    account = person.get("kakao_account")
    account = account if isinstance(account, dict) else {}
    profile = account.get("profile")
    claims["email"] = account.get("email")
    claims["email_verified"] = account.get("is_email_valid") is True and account.get("is_email_verified") is True
    if isinstance(profile, dict):
        claims["name"] = profile.get("nickname")
    return claims


def _line(provider: Provider, access_token: str) -> Person:
    """https://developers.line.biz/en/reference/line-login/#verify-access-token"""
    query = {"access_token": access_token}
    status, token = remote.call("GET", "https://api.line.me/oauth2/v2.1/verify", query=query)
    if status in (400, 401):
        raise refused("it is not valid")
    _expect_ok(status)
    if _id(token, "client_id") not in provider.client_ids:
        raise refused(ANOTHER_APP)
    if _number(token, "expires_in") <= 0:  # LINE answers 200 for an expired one
        raise refused("it has expired")
    headers = {"Authorization": f"Bearer {access_token}"}
    status, person = remote.call("GET", "https://api.line.me/v2/profile", headers=headers)
    _expect_ok(status)
    return {"sub": _id(person, "userId"), "name": person.get("displayName")}


def _github(provider: Provider, access_token: str) -> Person:
    """https://docs.github.com/en/rest/apps/oauth-applications#check-a-token"""
    client_id = provider.client_ids[0]
    headers = {"Authorization": basic(client_id, provider.client_secret), "Accept": "application/vnd.github+json"}
    url = f"https://api.github.com/applications/{client_id}/token"
    status, token = remote.call("POST", url, data={"access_token": access_token}, headers=headers)
    if status in (404, 422):
        raise refused("it is not valid, or it was issued for another app")
    person = _member(status, token, "user")
    claims: Person = {"sub": _id(person, "id"), "name": person.get("name") or person.get("login")}
    headers["Authorization"] = f"Bearer {access_token}"
    nothing: Told = {}
    return {**claims, **next(iter(_github_emails(headers)), nothing)}


def _github_emails(headers: Mapping[str, str]) -> list[Told]:
    """The person's primary address, where the token may read it."""
    status, listed = remote.call_for_list("GET", "https://api.github.com/user/emails", headers=headers)
    found = listed if status == 200 else []
    return [
        {"email": each.get("email"), "email_verified": each.get("verified") is True}
        for each in found
        if isinstance(each, dict) and each.get("primary") is True
    ]


CHECKS: dict[str, Callable[[Provider, str], Person]] = {
    "facebook": _facebook,
    "kakao": _kakao,
    "line": _line,
    "github": _github,
}


def _expect_ok(status: int) -> None:
    if status != 200:
        log.error("A login provider refuses to check tokens for this server (%s)", status)
        raise remote.unavailable()


def _member(status: int, answer: Mapping[str, Any], name: str) -> JsonObject:
    _expect_ok(status)
    if not isinstance(answer.get(name), dict):
        raise remote.unavailable()
    found: JsonObject = answer[name]
    return found


def _id(answer: Mapping[str, Any], name: str) -> str:
    """An identifier of a person or an app; providers write some as numbers."""
    subject = answer.get(name)
    if isinstance(subject, bool) or not isinstance(subject, str | int):
        raise remote.unavailable()
    if not is_subject(str(subject)):
        raise remote.unavailable()
    return str(subject)


def _number(answer: Mapping[str, Any], name: str) -> float:
    number = answer.get(name)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise remote.unavailable()
    return number


def _person(status: int, person: Mapping[str, Any], subject: str, name: str) -> Person:
    """The second answer must be about the person that the first one named."""
    _expect_ok(status)
    if _id(person, name) != subject:
        raise remote.unavailable()
    return {"sub": subject}
