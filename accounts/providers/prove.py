"""Who signs in: what a provider proves of the credential that an app or a browser brings."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from accounts.providers import access_tokens, code_flow
from accounts.providers.http import refused, unavailable
from accounts.providers.id_tokens import LEEWAY, audiences, fingerprint, verify
from accounts.providers.table import Person, Provider

LONGEST = 10 * 365 * 86400  # seconds that a used id_token is remembered, whatever it says
EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")


@dataclass(frozen=True)
class Proof:
    """(issuer, subject) is who it is, the issuer as an identity's id has it; the rest is only told. `used` is the
    id_token's hash and when it is over.
    """

    provider: str
    subject: str
    client_id: str
    email: str | None = None
    email_verified: bool | None = None
    name: str = ""
    used: tuple[str, int] | None = None
    refresh_token: str = field(default="", repr=False)
    issuer: str = ""

    @property
    def identity_id(self) -> str:
        return f"identity:{self.issuer or self.provider}:{self.subject}"

    @property
    def unnamed_id(self) -> str:
        """Where it is until `manage name_issuers` has run: under the name that the settings give the provider."""
        return f"identity:{self.provider}:{self.subject}"


def prove(provider: Provider, credential: Mapping[str, str]) -> Proof:
    """Check one credential: `id_token` (with `nonce`, and Apple's `code`), `access_token`, or `code`.

    Raises 401 `invalid_credential` when it proves nothing, 503 `provider_unavailable` when nobody can say.
    """
    nonce, code = credential.get("nonce", ""), credential.get("code", "")
    if id_token := credential.get("id_token"):
        proof = by_id_token(provider, id_token, nonce)
        return with_apples_code(provider, proof, code) if code else proof
    if access_token := credential.get("access_token"):
        return proven(provider, access_tokens.check(provider, access_token), client_id=provider.client_ids[0])
    answer = code_flow.redeem(
        provider,
        code=code,
        redirect_uri=credential.get("redirect_uri", ""),
        code_verifier=credential.get("code_verifier", ""),
    )
    token = answer.get(provider.code_gives)
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise unavailable()
    if provider.code_gives == "access_token":
        return proven(provider, access_tokens.check(provider, token), client_id=provider.client_ids[0])
    proof = by_id_token(provider, token, nonce)
    return replace(proof, name=proof.name or tidy(credential.get("name")), refresh_token=kept_token(provider, answer))


def by_id_token(provider: Provider, id_token: str, nonce: str) -> Proof:
    claims = verify(provider, id_token, nonce)
    client_id = audiences(claims)[0]
    used = (fingerprint(id_token), min(int(claims["exp"]), int(time.time()) + LONGEST) + LEEWAY + 1)
    verified = provider.email_verified(claims)
    told: Person = {
        "sub": claims["sub"],
        "email": claims.get("email"),
        "email_verified": verified,
        "name": claims.get("name"),
    }
    return proven(provider, told, client_id=client_id, used=used)


def with_apples_code(provider: Provider, proof: Proof, code: str) -> Proof:
    """What an app got from Apple along with its id_token. The code must be the same person's."""
    answer = code_flow.redeem(provider, code=code, redirect_uri="", code_verifier="", client_id=proof.client_id)
    token, refresh_token = answer.get("id_token"), kept_token(provider, answer)
    if not isinstance(token, str):
        raise unavailable()
    if verify_subject(provider, token) != proof.subject:
        raise refused("the code is somebody else's")
    return replace(proof, refresh_token=refresh_token)


def verify_subject(provider: Provider, id_token: str) -> str:
    """The subject of the id_token that came with a code, whatever its nonce: the code itself has just been used up."""
    return verify(provider, id_token, nonce=None)["sub"]


def kept_token(provider: Provider, answer: Mapping[str, object]) -> str:
    """Apple's refresh token, the only one that is ever needed again: to be revoked."""
    token = answer.get("refresh_token")
    return token if provider.provider == "apple" and isinstance(token, str) else ""


def proven(provider: Provider, claims: Person, *, client_id: str, **more: Any) -> Proof:
    """Claims are somebody else's words: only texts of a decent form are kept."""
    email = claims.get("email")
    email = email if isinstance(email, str) and EMAIL.fullmatch(email) and email.isprintable() else None
    verified = claims.get("email_verified") if email else None
    name = tidy(claims.get("name"))
    return Proof(provider.provider, claims["sub"], client_id, email, verified, name, issuer=provider.issuer, **more)


def tidy(name: object) -> str:
    return "".join(each for each in name if each.isprintable())[:100].strip() if isinstance(name, str) else ""
