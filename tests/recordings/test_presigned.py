"""What presigned URLs say and what of it is signed: one object, one method, these bytes, a few hours."""

import base64
import datetime
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings
from pytest_django.fixtures import Settings

from aws import presign, s3
from lib.clock import days_from_now
from recordings.models import MULTIPART
from tests.client import Client, declare, sha256

KEY = "recordings/a/b/c"
BODY = b"some sound"
SHA256 = sha256(BODY)
HOST = f"{settings.RECORDINGS_BUCKET}.s3.{settings.AWS_REGION}.amazonaws.com"
SIGNATURE = ("Algorithm", "Credential", "Date", "Expires", "Signature", "SignedHeaders")


def told(url: str) -> tuple[dict[str, str], set[str]]:
    """The query but for the signature's part, and the headers that are signed."""
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.path) == ("https", HOST, f"/{KEY}")
    query = {name: values[0] for name, values in parse_qs(parts.query, strict_parsing=True).items()}
    assert query["X-Amz-Expires"] == "21600"
    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    signed = set(query["X-Amz-SignedHeaders"].split(";"))
    return {name: value for name, value in query.items() if name.removeprefix("X-Amz-") not in SIGNATURE}, signed


def test_a_put_says_length_type_checksum_and_once() -> None:
    url, headers = presign.presign_put(KEY, size=len(BODY), sha256=SHA256, content_type="audio/wav")
    query, signed = told(url)
    assert signed == {"host", "content-length", "content-type", "x-amz-checksum-sha256", "if-none-match"}
    assert set(query) <= {"x-id"}
    assert {name.lower() for name in headers} | {"host", "content-length"} == signed
    assert headers["If-None-Match"] == "*"


def test_a_part_says_its_number_upload_length_and_checksum() -> None:
    url, headers = presign.presign_part(KEY, "upload", 7, size=len(BODY), sha256=SHA256)
    query, signed = told(url)
    assert signed == {"host", "content-length", "x-amz-checksum-sha256"}
    assert {name: query[name] for name in ("uploadId", "partNumber")} == {"uploadId": "upload", "partNumber": "7"}
    assert headers == {"x-amz-checksum-sha256": base64.b64encode(bytes.fromhex(SHA256)).decode()}


def test_what_is_signed_differs_with_what_it_is_for() -> None:
    """The same URL twice would mean that something is not in the signature."""

    def put(**changed: Any) -> str:
        given: Any = {"size": len(BODY), "sha256": SHA256, "content_type": "audio/wav"} | changed
        return signature(presign.presign_put(KEY, **given)[0])

    def part(number: int = 1, upload_id: str = "one", **changed: Any) -> str:
        given: Any = {"size": len(BODY), "sha256": SHA256} | changed
        return signature(presign.presign_part(KEY, upload_id, number, **given)[0])

    other = sha256(b"other")
    assert len({put(), put(size=11), put(sha256=other), put(content_type="audio/mp4")}) == 4
    assert len({part(), part(2), part(upload_id="two"), part(size=11), part(sha256=other)}) == 5


def signature(url: str) -> str:
    query = parse_qs(urlsplit(url).query)
    return query["X-Amz-Signature"][0]


@pytest.mark.parametrize("inline", [True, False])
def test_a_get_says_type_and_name(inline: bool) -> None:
    url = presign.presign_get(KEY, name="Talk.wav", content_type="audio/wav", trusted=True, inline=inline)
    query, signed = told(url)
    assert signed == {"host"}
    assert query == {
        "response-content-type": "audio/wav",
        "response-content-disposition": f'{"inline" if inline else "attachment"}; filename="Talk.wav"',
    } | ({"x-id": query["x-id"]} if "x-id" in query else {})


def test_a_policy_names_every_field_and_no_more() -> None:
    """S3 refuses a form with a field that its policy does not name.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
    """
    given = presign.presign_post(KEY, size=len(BODY), sha256=SHA256, content_type="audio/wav")
    policy = json.loads(base64.b64decode(given["fields"]["policy"]))
    ranges = [condition for condition in policy["conditions"] if isinstance(condition, list)]
    exact = {name: value for each in policy["conditions"] if isinstance(each, dict) for name, value in each.items()}
    assert ranges == [["content-length-range", len(BODY), len(BODY)]]
    sent = {name: value for name, value in given["fields"].items() if name not in ("policy", "x-amz-signature")}
    assert exact == sent | {"bucket": settings.RECORDINGS_BUCKET}
    assert exact["key"] == KEY


@pytest.fixture
def public_endpoint(settings: Settings) -> Iterator[str]:
    """Where apps reach the S3 that the server itself reaches at Amazon's own address."""
    settings.S3_PUBLIC_ENDPOINT_URL = "https://files.test"
    presign._signer.cache_clear()
    yield "https://files.test"
    presign._signer.cache_clear()


def test_a_public_endpoint_alone_has_the_bucket_in_the_path(alice: Client, public_endpoint: str) -> None:
    """There need be no host of the bucket's name, and the page's policy allows this one alone."""
    created = alice.create(b"one").json
    assert created["upload"]["url"].startswith(f"{public_endpoint}/test-recordings-bucket/recordings/{alice.user_id}/")


@pytest.fixture
def role(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A role's credentials in the environment, as botocore finds them there."""
    made = (s3.session, s3._s3, s3._files, presign._signer)
    for each in made:
        each.cache_clear()
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-session")
    yield monkeypatch
    for each in made:
        each.cache_clear()


def lives(url: str) -> int:
    """For how many seconds from now S3 takes a URL."""
    query = parse_qs(urlsplit(url).query)
    assert query["X-Amz-Security-Token"] == ["a-session"]
    signed_at = datetime.datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%S%z")
    age = datetime.datetime.now(datetime.UTC) - signed_at
    return int(query["X-Amz-Expires"][0]) - int(age.total_seconds())


def promised(expires_at: str) -> float:
    """The seconds from now until then."""
    return (datetime.datetime.fromisoformat(expires_at) - datetime.datetime.now(datetime.UTC)).total_seconds()


def told_urls(alice: Client) -> tuple[list[tuple[str, str]], str]:
    """(URL, expires_at) of everything in the API that says both, and the expires_at of an upload in parts."""
    single = alice.create(b"one").json["upload"]
    large = alice.post("recordings/", declare(b"", size=MULTIPART, sha256="a" * 64)).json
    part = {"number": 1, "sha256": "b" * 64}
    parts = alice.post(f"recordings/{large['recording']['id']}/parts/", {"parts": [part]}).json["parts"]
    ready = alice.upload(b"two").json["id"]
    download = alice.get(f"recordings/{ready}/download/?redirect=false").json
    return [(each["url"], each["expires_at"]) for each in (single, *parts, download)], large["upload"]["expires_at"]


def test_no_url_outlives_the_credentials_that_sign_it(alice: Client, role: pytest.MonkeyPatch) -> None:
    """Botocore fetches those anew that end within a quarter of an hour; these have half an hour left."""
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=30)
    role.setenv("AWS_CREDENTIAL_EXPIRATION", end.isoformat())
    urls, of_parts = told_urls(alice)
    assert len(urls) == 3
    for url, expires_at in urls:
        assert 1200 < lives(url) <= promised(end.isoformat())
        assert expires_at == presign.end_of(url)
    for expires_at in (of_parts, *(expires_at for _, expires_at in urls)):
        assert promised(expires_at) > 1200
        assert expires_at < end.isoformat()
    policy = presign.presign_post(KEY, size=len(BODY), sha256=SHA256, content_type="audio/wav")
    until = json.loads(base64.b64decode(policy["fields"]["policy"]))["expiration"]
    assert datetime.datetime.fromisoformat(until) <= end
    assert 1200 < policy["expires"] <= 1800


def test_credentials_are_fetched_anew_before_a_url_would_soon_end(alice: Client, role: pytest.MonkeyPatch) -> None:
    role.setenv("AWS_CREDENTIAL_EXPIRATION", days_from_now(1 / 48))
    assert 1200 < lives(alice.create(b"one").json["upload"]["url"]) <= 1801
    credentials: Any = s3.session().get_credentials()
    credentials._expiry_time -= datetime.timedelta(minutes=29)
    role.setenv("AWS_CREDENTIAL_EXPIRATION", days_from_now(1))
    assert lives(alice.create(b"two").json["upload"]["url"]) > 21000


def test_where_nothing_says_when_the_credentials_end_the_settings_do(
    alice: Client, role: pytest.MonkeyPatch, settings: Settings
) -> None:
    """As on Lambda."""
    settings.CREDENTIALS_SECONDS = 1500
    urls, of_parts = told_urls(alice)
    for url, expires_at in urls:
        assert 1200 < lives(url) <= 1500
        assert expires_at == presign.end_of(url)
    assert 1200 < promised(of_parts) <= 1500
    settings.CREDENTIALS_SECONDS = 7 * 86400
    assert 21000 < lives(alice.create(b"one").json["upload"]["url"]) <= 21600


def test_a_listener_s_url_is_as_short_as_ever(role: pytest.MonkeyPatch) -> None:
    url = presign.presign_get(
        KEY, name="a", content_type="audio/wav", trusted=True, inline=True, seconds=presign.SHARED_SECONDS
    )
    assert lives(url) <= 900


def test_a_role_that_can_not_be_asked_is_no_fault_of_the_caller(alice: Client, role: pytest.MonkeyPatch) -> None:
    role.setenv("AWS_CREDENTIAL_EXPIRATION", days_from_now(1 / 48))
    id = alice.upload(b"one").json["id"]
    credentials: Any = s3.session().get_credentials()
    credentials._expiry_time -= datetime.timedelta(minutes=29)
    role.delenv("AWS_ACCESS_KEY_ID")
    answer = alice.get(f"recordings/{id}/download/")
    assert (answer.status, answer.code) == (503, "unavailable")
