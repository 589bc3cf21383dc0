"""The login providers. TABLE holds what each of them is; `offered()` is what this server's settings switch on.

Adding one is an entry here, its client ids in the settings, and its tests. Issuers, key addresses, algorithms and
audiences stand here and in the settings only: a request just names a provider.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Required, TypedDict
from urllib.parse import quote

from django.conf import settings


class Claims(TypedDict, total=False):
    """What is read of an id_token: the provider's words, of which only some have been looked at (see `verify`)."""

    iss: object
    aud: Required[object]
    azp: object
    sub: Required[str]
    exp: Required[float]
    nonce: object
    nonce_supported: object
    tid: object
    hd: object
    events: object
    email: object
    email_verified: object
    name: object


class Told(TypedDict, total=False):
    """What a provider tells of a person, besides who it is."""

    email: object
    email_verified: bool | None
    name: object


class Person(Told):
    sub: str


class Public(TypedDict):
    """What an app needs to know of a provider."""

    provider: str
    display_name: str
    kinds: tuple[str, ...]
    client_ids: tuple[str, ...]
    web_login: bool


def as_claimed(claims: Claims) -> bool:
    return claims.get("email_verified") in (True, "true")  # Apple sends either


def by_google(claims: Claims) -> bool:
    """Google answers only for its own addresses and for those of a Workspace domain."""
    own = str(claims.get("email", "")).lower().endswith("@gmail.com")
    return as_claimed(claims) and (own or bool(claims.get("hd")))


@dataclass(frozen=True, kw_only=True)
class Provider:
    provider: str = ""
    client_ids: tuple[str, ...] = ()  # the first is the one of the code flow
    client_secret: str = field(default="", repr=False)

    issuers: tuple[str, ...] = ()  # whose id_tokens count; `{tid}` stands for the token's own tenant
    discovery: bool = False  # the addresses below come from the issuer's discovery document
    keys_url: str = ""
    keys_for: int = 600  # seconds that its keys are used before they are asked for again
    algorithms: tuple[str, ...] = ("RS256",)
    email_verified: Callable[[Claims], bool | None] = lambda claims: None  # None: it does not say

    access_token: str = ""  # the check in access_tokens.py that says for which app a token was issued
    authorize_url: str = ""
    token_url: str = ""
    scope: str = "openid email profile"
    code_gives: str = "id_token"
    exchanges: bool = False  # whether a code can be exchanged, and so a browser be signed in
    pkce: bool = True
    form_post: bool = False  # its callback is a POST

    @property
    def kinds(self) -> tuple[str, ...]:
        """The credentials that an app may post."""
        codes = self.exchanges and settings.LOGIN_REDIRECT_URIS
        kinds = {"id_token": self.issuers, "access_token": self.access_token, "code": codes}
        return tuple(kind for kind, possible in kinds.items() if possible)

    @property
    def issuer(self) -> str:
        """What stands for its issuer in an identity's id: a subject is somebody at an issuer, whatever name the
        settings give it (OpenID Connect Core 1.0, 2). Those of TABLE are known by their own names.
        """
        if self.provider in TABLE or not self.issuers:
            return self.provider
        return ISSUERS.get(self.issuers[0]) or quote(self.issuers[0], safe="")

    @property
    def display_name(self) -> str:
        """What people call it."""
        spelt = {"github": "GitHub", "line": "LINE", "sso": "SSO"}
        return spelt.get(self.provider) or self.provider.replace("_", " ").title()

    def public(self) -> Public:
        """What an app needs to know of it."""
        return {
            "provider": self.provider,
            "display_name": self.display_name,
            "kinds": self.kinds,
            "client_ids": self.client_ids,
            "web_login": self.exchanges,
        }


TABLE = {
    "google": Provider(
        issuers=("https://accounts.google.com", "accounts.google.com"),
        keys_url="https://www.googleapis.com/oauth2/v3/certs",
        email_verified=by_google,
        authorize_url="https://accounts.google.com/o/oauth2/v2/auth",
        token_url="https://oauth2.googleapis.com/token",  # noqa: S106
    ),
    "apple": Provider(
        issuers=("https://appleid.apple.com", "https://account.apple.com"),  # the second since June 2025
        keys_url="https://appleid.apple.com/auth/keys",
        email_verified=as_claimed,
        authorize_url="https://appleid.apple.com/auth/authorize",
        token_url="https://appleid.apple.com/auth/token",  # noqa: S106
        scope="name email",
        pkce=False,
        form_post=True,
    ),
    "kakao": Provider(
        issuers=("https://kauth.kakao.com",),
        keys_url="https://kauth.kakao.com/.well-known/jwks.json",
        keys_for=86400,  # asking often gets one blocked
        access_token="kakao",  # noqa: S106
        authorize_url="https://kauth.kakao.com/oauth/authorize",
        token_url="https://kauth.kakao.com/oauth/token",  # noqa: S106
        scope="openid",
    ),
    "naver": Provider(  # its access tokens name no app: anybody's would fit
        issuers=("https://nid.naver.com",),
        keys_url="https://nid.naver.com/oauth2/jwks",
        authorize_url="https://nid.naver.com/oauth2/authorize",
        token_url="https://nid.naver.com/oauth2/token",  # noqa: S106
        scope="openid profile",
    ),
    "line": Provider(
        issuers=("https://access.line.me",),
        keys_url="https://api.line.me/oauth2/v2.1/certs",
        algorithms=("ES256", "HS256"),  # its SDKs the one, its web flow the other, with the channel secret
        access_token="line",  # noqa: S106
        authorize_url="https://access.line.me/oauth2/v2.1/authorize",
        token_url="https://api.line.me/oauth2/v2.1/token",  # noqa: S106
        scope="openid profile email",
    ),
    "facebook": Provider(
        issuers=("https://www.facebook.com",),  # of iOS' Limited Login
        keys_url="https://limited.facebook.com/.well-known/oauth/openid/jwks/",
        access_token="facebook",  # noqa: S106
        authorize_url="https://www.facebook.com/dialog/oauth",
        token_url="https://graph.facebook.com/oauth/access_token",  # noqa: S106
        scope="public_profile,email",
        code_gives="access_token",
    ),
    "microsoft": Provider(
        issuers=("https://login.microsoftonline.com/{tid}/v2.0",),
        keys_url="https://login.microsoftonline.com/common/discovery/v2.0/keys",
        email_verified=lambda claims: False,  # who runs a directory there puts in any address
        authorize_url="https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
        token_url="https://login.microsoftonline.com/common/oauth2/v2.0/token",  # noqa: S106
    ),
    "github": Provider(
        access_token="github",  # noqa: S106
        authorize_url="https://github.com/login/oauth/authorize",
        token_url="https://github.com/login/oauth/access_token",  # noqa: S106
        scope="read:user user:email",
        code_gives="access_token",
    ),
}
# The one issuer of each, by which its people are known: Google and Apple write two, GitHub's tokens name none.
ISSUERS = {(known.issuers or ("https://github.com",))[0]: name for name, known in TABLE.items()}
GUEST = Provider(provider="guest")


def offered() -> dict[str, Provider]:
    """The providers that are on, by name. One without client ids is off, never unchecked."""
    found = [GUEST] if settings.GUEST_LOGIN else []
    for name, client_ids in settings.CLIENT_IDS.items():
        if client_ids:
            known = TABLE.get(name) or discovered(name)
            secret = settings.CLIENT_SECRETS[name]
            found.append(configured(replace(known, provider=name, client_ids=tuple(client_ids), client_secret=secret)))
    return {provider.provider: provider for provider in found}


def discovered(name: str) -> Provider:
    """An OpenID provider that only the settings know."""
    return Provider(
        issuers=(settings.OIDC_ISSUERS[name],),
        discovery=True,
        algorithms=tuple(settings.OIDC_ALGORITHMS[name]),
        email_verified=as_claimed,
    )


def configured(provider: Provider) -> Provider:
    """The provider without what its settings leave out."""
    exchanges = bool(provider.client_secret) or provider.discovery  # a public client proves itself with PKCE alone
    algorithms, access_token, issuers = provider.algorithms, provider.access_token, provider.issuers
    if not provider.client_secret:
        algorithms = tuple(each for each in algorithms if each != "HS256")
    if provider.provider == "apple":
        exchanges = bool(settings.APPLE_PRIVATE_KEY)
    if provider.provider == "facebook" and not provider.client_secret:
        access_token = ""
    if provider.provider == "kakao":
        exchanges = True  # its secret is optional
        access_token = access_token if settings.KAKAO_APP_ID else ""
    if provider.provider == "microsoft" and settings.MICROSOFT_TENANTS:
        issuers = tuple(issuers[0].format(tid=tenant) for tenant in settings.MICROSOFT_TENANTS)
    return replace(provider, exchanges=exchanges, algorithms=algorithms, access_token=access_token, issuers=issuers)
