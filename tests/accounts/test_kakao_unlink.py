"""Kakao tells that somebody has disconnected the app there."""

from urllib.parse import urlencode

import pytest
from pytest_django.fixtures import Settings

from accounts.login import enter_with
from tests.accounts.conftest import SignIn, id_token
from tests.client import Answer, Client

KEY = "the-admin-key"


@pytest.fixture(autouse=True)
def _kakao(settings: Settings) -> None:
    settings.KAKAO_ADMIN_KEY, settings.KAKAO_APP_ID = KEY, "777"


def kakao_user(subject: str = "123") -> Client:
    from accounts.providers.prove import Proof

    answer = enter_with(Proof("kakao", subject, "app"), device_name="")
    return Client(answer["auth_key"], answer["user_id"])


def unlink(key: str = f"KakaoAK {KEY}", **changed: str) -> Answer:
    form = {"app_id": "777", "user_id": "123", "referrer_type": "UNLINK_FROM_APPS", **changed}
    body, kind = urlencode(form).encode(), "application/x-www-form-urlencoded"
    return Client().call("POST", "accounts/kakao/unlink/", body, content_type=kind, authorization=key)


def test_the_identity_goes_where_there_is_another(sign_in: SignIn) -> None:
    alice = kakao_user()
    alice.post("accounts/identities/", {"provider": "corp", "id_token": id_token("alice")})
    assert unlink().status == 200
    assert [row["provider"] for row in alice.get("accounts/identities/").json["results"]] == ["corp"]


def test_the_last_identity_stays_and_every_device_is_signed_out() -> None:
    alice = kakao_user()
    kept = alice.record(b"a talk")
    assert unlink().status == 200
    assert alice.get("accounts/me/").status == 401
    again = kakao_user()  # Kakao gives the same id to somebody who connects again
    assert (again.user_id, again.shelf()) == (alice.user_id, [kept["id"]])


def test_get_works_too() -> None:
    alice = kakao_user()
    path = "accounts/kakao/unlink/?app_id=777&user_id=123&referrer_type=ACCOUNT_DELETE"
    assert Client().get(path, authorization=f"KakaoAK {KEY}").status == 200
    assert alice.get("accounts/me/").status == 401


def test_somebody_unknown_is_fine() -> None:
    assert unlink(user_id="999").status == unlink(user_id="").status == 200


@pytest.mark.parametrize(
    "bad", [{"key": "KakaoAK wrong"}, {"key": KEY}, {"key": ""}, {"app_id": "778"}, {"app_id": ""}]
)
def test_anybody_else_is_refused(bad: dict[str, str]) -> None:
    alice = kakao_user()
    assert unlink(**bad).status == 403
    assert alice.get("accounts/me/").status == 200


def test_without_an_admin_key_there_is_no_such_thing(settings: Settings) -> None:
    settings.KAKAO_ADMIN_KEY = ""
    assert unlink().status == 404
    assert unlink(key="KakaoAK ").status == 404
