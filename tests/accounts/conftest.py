"""Login providers on loopback, switched on by settings."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from tests.client import Answer, Client
from tests.signer import claims, jwks, sign
from tests.world import World, standing_in


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with standing_in(monkeypatch) as world:
        yield world


SignIn = Callable[..., Client]


@pytest.fixture
def sign_in(world: World, settings: Settings) -> SignIn:
    """Signs a subject in at `corp`, by a token that is new each time."""
    offer(settings, world, algorithms=["RS256"])
    return lambda subject, **fields: client_of(login("corp", id_token=id_token(subject), **fields))


_numbers = itertools.count()


def id_token(subject: str, **changed: Any) -> str:
    return sign(claims(sub=subject, jti=str(next(_numbers)), **changed))


def offer(settings: Settings, world: World, *, algorithms: list[str], secret: str = "") -> None:
    """An OpenID provider of its own, `corp`, at https://issuer.test."""
    settings.OIDC_ISSUERS = {"corp": "https://issuer.test"}
    settings.OIDC_ALGORITHMS = {"corp": algorithms}
    switch_on(settings, "corp", "app", "app2", secret=secret)
    world.answers["GET issuer.test/.well-known/openid-configuration"] = (
        200,
        {
            "issuer": "https://issuer.test",
            "jwks_uri": "https://issuer.test/keys",
            "authorization_endpoint": "https://issuer.test/auth",
            "token_endpoint": "https://issuer.test/token",
        },
    )
    world.answers["GET issuer.test/keys"] = (200, jwks(("RS256", "one"), ("ES256", "two")))


def switch_on(settings: Settings, provider: str, *client_ids: str, secret: str = "") -> None:
    settings.CLIENT_IDS = {**settings.CLIENT_IDS, provider: list(client_ids)}
    settings.CLIENT_SECRETS = {**settings.CLIENT_SECRETS, provider: secret}


def login(provider: str, **fields: Any) -> Answer:
    return Client().post("accounts/login/", {"provider": provider, **fields})


def client_of(answer: Answer) -> Client:
    assert answer.status in (200, 201), answer
    return Client(answer.json["auth_key"], answer.json["user_id"], answer.json["session_id"])
