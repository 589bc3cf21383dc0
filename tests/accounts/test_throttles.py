"""How often one may, and who counts as one."""

import ipaddress
import time
from typing import Any

import pytest
from django.test import RequestFactory
from pytest_django.fixtures import Settings

from accounts import throttles
from accounts.models import Throttle
from tests.accounts.conftest import SignIn, id_token, login
from tests.client import Answer, Client, sign_up

SECRET, OLD = "s" * 32, "o" * 32


def stop_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of every window: none ends while somebody counts."""
    moment = time.time() // 3600 * 3600 + 1830

    class Clock:
        time = staticmethod(lambda: moment)

    monkeypatch.setattr(throttles, "time", Clock)


@pytest.fixture(autouse=True)
def _throttled(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.THROTTLE = True
    settings.TRUSTED_PROXIES, settings.PROXY_SECRETS = 1, [SECRET]
    stop_the_clock(monkeypatch)


def from_address(address: str, client: Client | None = None) -> Client:
    client = client or Client()
    client.http.defaults |= {"HTTP_X_FORWARDED_FOR": address, "HTTP_X_PROXY_SECRET": SECRET}
    return client


def guest(address: str) -> Answer:
    return from_address(address).post("accounts/login/", {"provider": "guest"})


@pytest.fixture
def five(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Five guests an hour from an address."""
    monkeypatch.setitem(throttles.LIMITS, "guest", (5, 3600))
    return monkeypatch


@pytest.mark.check
def test_a_class_can_be_guests() -> None:
    """Behind the one address of a school, or of a carrier."""
    assert {guest("192.0.2.1").status for _ in range(101)} == {201}


@pytest.mark.parametrize(
    ("scope", "within", "beyond"),
    [
        ("guests", [f"192.0.2.{host}" for host in range(7)], "192.0.3.1"),
        ("guests", [f"2001:db8:1:{net:x}::1" for net in range(7)], "2001:db8:2::1"),
        ("all_guests", [f"192.0.{net}.1" for net in range(7)], None),
    ],
)
def test_guests_of_a_network_and_of_everybody(
    five: pytest.MonkeyPatch, scope: str, within: list[str], beyond: str | None
) -> None:
    five.setitem(throttles.LIMITS, scope, (6, 3600))
    assert [guest(address).status for address in within] == [201] * 6 + [429]
    assert beyond is None or guest(beyond).status == 201


def test_what_one_address_is_refused_takes_nothing_from_others(five: pytest.MonkeyPatch) -> None:
    for scope in ("guests", "all_guests"):
        five.setitem(throttles.LIMITS, scope, (6, 3600))
    assert [guest("192.0.2.1").status for _ in range(9)] == [201] * 5 + [429] * 4
    assert guest("192.0.2.2").status == 201


@pytest.mark.usefixtures("five")
def test_five_guests_an_hour_from_one_address() -> None:
    assert [guest("192.0.2.1").status for _ in range(6)] == [201] * 5 + [429]
    refused = guest("192.0.2.1")
    assert refused.code == "too_many_requests"
    assert 1700 < int(refused.headers["Retry-After"]) <= 1800
    assert guest("192.0.2.2").status == 201


@pytest.mark.usefixtures("five")
def test_hops_that_a_direct_caller_writes_are_nobodys() -> None:
    """Each guest from "another address", without the edge's secret: all from one."""
    statuses = []
    for number in range(6):
        direct = from_address(f"192.0.2.{number}")
        direct.http.defaults["HTTP_X_PROXY_SECRET"] = "x" * 32
        statuses.append(direct.post("accounts/login/", {"provider": "guest"}).status)
    assert statuses == [201] * 5 + [429]


def test_twenty_logins_a_minute_from_one_address(sign_in: SignIn) -> None:
    def attempt(subject: str) -> int:
        body = {"provider": "corp", "id_token": id_token(subject)}
        return from_address("192.0.2.1").post("accounts/login/", body).status

    assert [attempt(f"user {number}") for number in range(21)] == [201] * 20 + [429]


def test_ten_logins_a_minute_for_one_identity_from_anywhere(sign_in: SignIn) -> None:
    statuses = []
    for number in range(11):
        body = {"provider": "corp", "id_token": id_token("alice")}
        statuses.append(from_address(f"192.0.2.{number}").post("accounts/login/", body).status)
    assert statuses == [201] + [200] * 9 + [429]


def test_sixty_bad_keys_a_minute_and_good_ones_still_count() -> None:
    alice = from_address("192.0.2.1", Client(guest("192.0.2.9").json["auth_key"]))
    mallory = from_address("192.0.2.1", Client(f"{'0' * 32}.{'x' * 43}"))
    statuses = [mallory.get("accounts/me/").status for _ in range(61)]
    assert statuses == [401] * 60 + [429]
    assert alice.get("accounts/me/").status == 200


def test_linking_and_closing_are_counted_by_account(sign_in: SignIn) -> None:
    answer = guest("192.0.2.9").json
    alice = Client(answer["auth_key"], answer["user_id"])
    body = {"provider": "corp", "id_token": "bad"}
    assert [alice.post("accounts/identities/", body).status for _ in range(11)] == [401] * 10 + [429]
    for _ in range(5):
        throttles.hit("close", alice.user_id)
    assert alice.delete("accounts/me/").status == 429
    assert sign_in("bob").delete("accounts/me/").status == 202


def test_a_hit_is_one_update_and_expires() -> None:
    throttles.hit("login", "somebody")
    (row,) = Throttle.scan()
    assert row.hits == 1
    assert row.expires_at % 3600 == 1920  # a minute after the window, which is the half hour's first


def address(forwarded: str = "", peer: str = "198.51.100.7", *, context: Any = None, secret: str = SECRET) -> str:
    extra: dict[str, Any] = {"REMOTE_ADDR": peer, "HTTP_HOST": "recorder.test"}
    if secret:
        extra["HTTP_X_PROXY_SECRET"] = secret
    if forwarded:
        extra["HTTP_X_FORWARDED_FOR"] = forwarded
    if context is not None:
        extra["apig_wsgi.request_context"] = context
    return throttles.address(RequestFactory().get("/", **extra))


V2, V1 = {"http": {"sourceIp": "203.0.113.5"}}, {"identity": {"sourceIp": "203.0.113.5"}}
ALB: dict[str, Any] = {"elb": {"targetGroupArn": "arn"}}


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, "198.51.100.7"),
        ({"forwarded": "192.0.2.1"}, "198.51.100.7"),  # anybody can write that
        ({"forwarded": "192.0.2.1", "proxies": 1}, "192.0.2.1"),
        ({"forwarded": "6.6.6.6, 192.0.2.1", "proxies": 1}, "192.0.2.1"),
        ({"forwarded": "6.6.6.6, 192.0.2.1, 10.0.0.1", "proxies": 2}, "192.0.2.1"),
        ({"forwarded": "6.6.6.6", "proxies": 2}, "198.51.100.7"),  # it did not come through both
        ({"context": V2, "forwarded": "6.6.6.6, 203.0.113.5", "peer": "203.0.113.5"}, "203.0.113.5"),
        ({"context": V1, "forwarded": "6.6.6.6, 203.0.113.5", "peer": "6.6.6.6"}, "203.0.113.5"),
        ({"context": V1, "forwarded": "", "peer": "6.6.6.6"}, "203.0.113.5"),
        ({"context": V2, "forwarded": "192.0.2.1, 203.0.113.5", "proxies": 1}, "192.0.2.1"),
        ({"context": ALB, "forwarded": "6.6.6.6, 203.0.113.5", "peer": "6.6.6.6"}, "203.0.113.5"),
        ({"context": ALB, "forwarded": "203.0.113.5", "peer": "203.0.113.5"}, "203.0.113.5"),
        # Who calls round the proxies is who it is, whatever it writes.
        ({"forwarded": "6.6.6.6", "proxies": 1, "secret": ""}, "198.51.100.7"),
        ({"forwarded": "6.6.6.6", "proxies": 1, "secret": "x" * 32}, "198.51.100.7"),
        ({"forwarded": "6.6.6.6", "proxies": 1, "secret": "\xff"}, "198.51.100.7"),
        ({"context": V2, "forwarded": "6.6.6.6, 203.0.113.5", "proxies": 1, "secret": ""}, "203.0.113.5"),
        ({"context": V1, "forwarded": "6.6.6.6, 203.0.113.5", "proxies": 1, "secret": ""}, "203.0.113.5"),
        ({"context": ALB, "forwarded": "6.6.6.6, 203.0.113.5", "proxies": 1, "secret": ""}, "203.0.113.5"),
        ({"forwarded": "192.0.2.1", "proxies": 1, "secret": OLD}, "192.0.2.1"),  # while it is being changed
        ({"forwarded": "192.0.2.1", "proxies": 1, "secret": "", "any": True}, "192.0.2.1"),
        # Proxies by their addresses, however many.
        ({"forwarded": "6.6.6.6", "networks": ["10.0.0.0/8"], "secret": ""}, "198.51.100.7"),
        ({"forwarded": "6.6.6.6, 192.0.2.1", "networks": ["198.51.100.0/24"], "secret": ""}, "192.0.2.1"),
        ({"forwarded": "6.6.6.6, 192.0.2.1, 198.51.100.8", "networks": ["198.51.100.0/24"]}, "192.0.2.1"),
        ({"forwarded": "192.0.2.1", "peer": "::ffff:198.51.100.7", "networks": ["198.51.100.0/24"]}, "192.0.2.1"),
        ({"forwarded": "192.0.2.1", "peer": "fd00::1", "networks": ["198.51.100.0/24", "fd00::/8"]}, "192.0.2.1"),
        ({"forwarded": "nonsense", "networks": ["198.51.100.0/24"]}, "unknown"),
        ({"peer": "2001:db8:1:2:3:4:5:6"}, "2001:db8:1:2::/64"),
        ({"peer": "2001:db8:1:2:ffff::1"}, "2001:db8:1:2::/64"),
        ({"peer": "::ffff:192.0.2.1"}, "192.0.2.1"),
        ({"peer": ""}, "unknown"),
        ({"peer": "unix:"}, "unknown"),
    ],
)
def test_whose_address_it_is(settings: Settings, options: dict[str, Any], found: str) -> None:
    options = dict(options)
    settings.TRUSTED_PROXIES, settings.PROXY_SECRETS = options.pop("proxies", 0), [SECRET, OLD]
    settings.TRUST_ANY_PROXY = options.pop("any", False)
    settings.PROXY_NETWORKS = [ipaddress.ip_network(network) for network in options.pop("networks", [])]
    assert address(**options) == found


def test_off_means_off(settings: Settings) -> None:
    settings.THROTTLE = False
    for _ in range(7):
        sign_up()
    assert [row for row in Throttle.scan() if row.auth_key == "throttle"] == []
    assert login("guest").status == 201
