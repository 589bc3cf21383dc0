"""Whether an id_token proves what it says. PyJWT checks signatures and times; what it leaves out is checked here.

OpenID Connect Core 1.0, 3.1.3.7; RFC 8725. This module is imported by the first login only: PyJWT and cryptography
cost 37 ms of cold start that no other request needs.
"""

import hashlib
import hmac
import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import jwt
from django.conf import settings

from accounts.providers import http as remote
from accounts.providers.http import refused
from accounts.providers.table import Claims, Provider
from lib.deadline import begin_in_time
from lib.origin import is_secure
from lib.problems import Problem

log = logging.getLogger(__name__)
T = TypeVar("T")

LEEWAY = 30  # seconds that clocks may differ
COOLDOWN = 30.0  # seconds after a fetch, good or bad, in which nothing is fetched again
STALE = 86400.0  # seconds that old keys do while the provider is down
LONGEST_SUBJECT = 255
TENANT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
REASONS: dict[type[Exception], str] = {
    jwt.ExpiredSignatureError: "it has expired",
    jwt.ImmatureSignatureError: "it is not valid yet",
    jwt.InvalidAudienceError: "it was issued for another app",
    jwt.MissingRequiredClaimError: "a claim is missing",
}


class Kept(Generic[T]):
    """Something of a provider's that is fetched now and then, by one thread for all.

    Used for `lifespan` seconds; then, while fetching fails, for up to a day more; and never asked for within COOLDOWN
    of a failure, which is counted from when it ended.
    """

    def __init__(self, fetch: Callable[[], T], lifespan: float) -> None:
        self.fetch, self.lifespan = fetch, lifespan
        self.value: T | None = None
        self.fetched_at = self.failed_at = float("-inf")
        self.lock = threading.Lock()

    def get(self, *, refresh: bool = False) -> T:
        with self.lock:
            age = time.monotonic() - self.fetched_at
            if self.value is not None and age < self.lifespan and not refresh:
                return self.value
            if time.monotonic() - self.failed_at >= COOLDOWN:
                begin_in_time()  # outside of the try: it is no failure of the provider's
                try:
                    self.value = self.fetch()
                except Problem:
                    self.failed_at = time.monotonic()
                else:
                    self.fetched_at = time.monotonic()
                    return self.value
            if self.value is None or age > STALE:
                raise remote.unavailable()
            return self.value

    @property
    def failing(self) -> bool:
        return self.failed_at > self.fetched_at


class Keys(jwt.PyJWKClient):
    """PyJWT's client, which keeps its keys as `Kept` does and speaks HTTP as `remote` does."""

    def __init__(self, url: str, lifespan: float) -> None:
        super().__init__(url, cooldown_duration=COOLDOWN)
        self.kept = Kept(self._fetch, lifespan)
        self.issuers: dict[str, str] = {}

    def _fetch(self) -> jwt.PyJWKSet:
        status, document = remote.call("GET", self.uri)
        try:
            if status != 200:
                raise remote.unavailable()
            keys = jwt.PyJWKSet.from_dict(document)
            self.issuers = {key["kid"]: key["issuer"] for key in document["keys"] if {"kid", "issuer"} <= set(key)}
        except (jwt.PyJWTError, TypeError, AttributeError):
            log.warning("%s has no usable keys", urlsplit(self.uri).hostname)
            raise remote.unavailable() from None
        return keys

    def get_jwk_set(self, refresh: bool = False) -> jwt.PyJWKSet:
        keys = self.kept.get(refresh=refresh)
        self._last_successful_fetch = self.kept.fetched_at
        return keys

    def key(self, kid: object) -> jwt.PyJWK:
        if not isinstance(kid, str) or not kid:
            raise refused("it does not say by which key it is signed")
        try:
            return self.get_signing_key(kid)
        except jwt.PyJWKClientError:
            if self.kept.failing:  # it may be a new key that nobody can fetch
                raise remote.unavailable() from None
            raise refused("it is signed by no key of the provider") from None


@dataclass(frozen=True)
class Endpoints:
    keys: str
    authorize: str
    token: str
    basic: bool  # whether the client's secret travels in an Authorization header


@cache
def _keys(url: str, lifespan: float) -> Keys:
    return Keys(url, lifespan)


@cache
def _discovered(issuer: str) -> Kept[Endpoints]:
    return Kept(lambda: discover(issuer), 3600)


def endpoints(provider: Provider) -> Endpoints:
    if provider.discovery:
        return _discovered(provider.issuers[0]).get()
    return Endpoints(provider.keys_url, provider.authorize_url, provider.token_url, basic=False)


def discover(issuer: str) -> Endpoints:
    """OpenID Connect Discovery 1.0: the document counts only if it names exactly this issuer, and https addresses."""
    status, document = remote.call("GET", issuer.rstrip("/") + "/.well-known/openid-configuration")
    urls = [str(document.get(name)) for name in ("jwks_uri", "authorization_endpoint", "token_endpoint")]
    if status != 200 or document.get("issuer") != issuer or not all(map(_secure, urls)):
        log.error("The discovery document of %s is not usable", issuer)
        raise remote.unavailable()
    methods = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return Endpoints(urls[0], urls[1], urls[2], basic="client_secret_basic" in methods)


def _secure(url: str) -> bool:
    return is_secure(url, local=settings.LOCAL)


def verify(provider: Provider, id_token: str, nonce: str | None) -> Claims:
    """The claims of a good id_token. Raises 401 with the reason, 503 when the provider's keys can't be had.

    A `nonce` of None is for a token that came straight from the provider and is bound to the request by other means.
    """
    try:
        header = jwt.get_unverified_header(id_token)
        algorithm = header.get("alg")
        if algorithm not in provider.algorithms:
            raise refused("it is signed in a way that is not configured")
        if str(header.get("typ", "JWT")).upper() != "JWT":
            raise refused("it is not an id_token")
        key: Any = provider.client_secret
        if algorithm != "HS256":
            keys = _keys(endpoints(provider).keys, provider.keys_for)
            key = keys.key(header.get("kid"))
        decoded: Any = jwt.decode(
            id_token,
            key,
            algorithms=[str(algorithm)],
            audience=provider.client_ids,
            leeway=LEEWAY,
            options={"require": ["iss", "aud", "sub", "exp", "iat"], "enforce_minimum_key_length": True},
        )
        claims: Claims = decoded
        signer = keys.issuers.get(header["kid"]) if algorithm != "HS256" else None
    except jwt.PyJWTError as error:
        why = next((why for kind, why in REASONS.items() if isinstance(error, kind)), "it is not valid")
        raise refused(why) from None
    _check_issuer(provider, claims, signer)
    _check_parties(provider, claims)
    if nonce is not None:
        _check_nonce(provider, claims, nonce)
    return claims


def _check_issuer(provider: Provider, claims: Claims, signer: str | None) -> None:
    """The issuer is ours, and the key one that may sign for it: Microsoft's key set serves all tenants."""
    tid = claims.get("tid")
    tid = tid if isinstance(tid, str) and TENANT.fullmatch(tid) else "no tenant"
    allowed = {issuer.replace("{tid}", tid) for issuer in provider.issuers}
    if signer is not None:
        allowed &= {str(signer).replace("{tenantid}", tid)}
    if not isinstance(claims["iss"], str) or claims["iss"] not in allowed:
        raise refused("it was issued by somebody else")


def _check_parties(provider: Provider, claims: Claims) -> None:
    """Subject and audiences: all of them ours, and so the party it was issued to."""
    subject = claims["sub"]
    if not isinstance(subject, str) or not is_subject(subject):
        raise refused("it does not say who signs in")
    named = audiences(claims)
    party = claims.get("azp", named[0] if len(named) == 1 else None)
    if not all(each in provider.client_ids for each in [*named, party]):
        raise refused("it was issued for another app")
    if "events" in claims:
        raise refused("it is not an id_token")  # a logout token, which has the same issuer, audience and subject


def is_subject(subject: str) -> bool:
    """OpenID Connect Core 1.0, 2: at most 255 characters. What can't be printed can't be stored either."""
    return 0 < len(subject) <= LONGEST_SUBJECT and subject.isprintable()


def audiences(claims: Claims) -> list[Any]:
    return claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]


def _check_nonce(provider: Provider, claims: Claims, nonce: str) -> None:
    """The token holds hex(sha256(nonce)), or there is none on either side. Never equality: a thief reads the token."""
    theirs = claims.get("nonce")
    hidden = {*audiences(claims), claims.get("azp")} & set(settings.GOOGLE_HIDDEN_NONCE_CLIENT_IDS)
    if not nonce and theirs and provider.provider == "google" and hidden:
        return  # old GoogleSignIn for iOS makes one up that nobody can see
    if nonce and not theirs and provider.provider == "apple" and claims.get("nonce_supported") is False:
        return
    ours = hashlib.sha256(nonce.encode()).hexdigest() if nonce else ""
    if not isinstance(theirs, str | None) or not hmac.compare_digest((theirs or "").encode(), ours.encode()):
        raise refused("its nonce is not the SHA-256 of this one")


def fingerprint(id_token: str) -> str:
    """What is remembered of a used id_token: the hash of what is signed.

    Not of the signature: of an ES256 one anybody can make a second that is valid too.
    """
    return hashlib.sha256(id_token.rpartition(".")[0].encode()).hexdigest()
