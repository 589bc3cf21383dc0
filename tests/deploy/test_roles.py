"""Each function does its whole work under its own role, and its role grants nothing that this work does not need."""

import json
from typing import Any

import boto3
import pytest
from django.conf import settings
from pytest_django import Settings

from accounts.models import Session
from aws import functions, presign
from operations import decode_function
from operations.lambda_handler import closing_handler, handler
from recordings.analysis.orders import Order
from recordings.models import Excerpt, Work
from tests.client import Client, send, sign_up
from tests.deploy.conftest import REGION, physical, translated
from tests.deploy.iam import Role, acting_as
from tests.deploy.jobs import LARGE, main_job, put_parts
from tests.recordings.test_orders import Http
from tests.recordings.test_sharing import expire
from tests.sound import encode, tone
from tests.state import LONG_AGO, failing, kept, let_urls_end, make_due, remains, row, snapshot, traces, work


def event(client: Client, id: str, attempt: str = "") -> dict[str, Any]:
    key = f"recordings/{client.user_id}/{id}/{attempt or kept(client.user_id, id).attempt}"
    record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"object": {"key": key}}}
    return {"Records": [record]}


def put(client: Client, content: bytes) -> str:
    """A recording whose bytes are at S3, and whose app never called again."""
    created = client.create(content).json
    if created["upload"]["kind"] == "single":
        assert send(created["upload"], content).status_code == 200
    else:
        put_parts(client, created["recording"]["id"], content)
    id: str = created["recording"]["id"]
    return id


def part(client: Client, id: str) -> str:
    """The id of a share of the recording's first second."""
    answer = client.post(f"recordings/{id}/shares/", {"start": 0, "end": 1})
    assert answer.status == 201, answer
    share_id: str = answer.json["id"]
    return share_id


def overdue(client: Client) -> dict[str, str]:
    """One recording of each kind that waits for an event or the sweep."""
    ids = {
        "event": put(client, b"event" * 100),
        "sweep": put(client, b"sweep" * 100),
        "parts": put(client, LARGE),
        "abandoned": client.create(b"never" * 100).json["recording"]["id"],
        "abandoned parts": client.create(b"never" + LARGE).json["recording"]["id"],
        "unproven": put(client, LARGE + b"!"),
        "trashed": client.record(b"trashed" * 100)["id"],
        "trashed too": client.record(b"trashed too" * 100)["id"],
    }
    assert client.post(f"recordings/{ids['unproven']}/complete/").status == 200
    for name in ("trashed", "trashed too"):
        assert client.delete(f"recordings/{ids[name]}/").status == 204
    for name in ("sweep", "parts", "abandoned", "abandoned parts", "trashed"):
        make_due(client.user_id, ids[name])
    return ids


def event_job(client: Client, ids: dict[str, str], guest: Client, closed: Client, orders: list[Order]) -> None:
    """What the second function does: S3's events, and the sweep with everything that it may find."""
    unproven = kept(client.user_id, ids["unproven"])
    assert unproven.verified_at is None
    assert handler(event(client, ids["event"])) == {"ready": 1}
    assert handler(event(client, ids["unproven"])) == {"ready": 1}
    assert handler(event(client, "0" * 32, "0" * 32)) == {"gone": 1}
    orphan = f"recordings/{client.user_id}/{'0' * 32}/{'1' * 32}"
    boto3.client("s3", region_name=REGION).put_object(Bucket=settings.RECORDINGS_BUCKET, Key=orphan, Body=b"x")
    assert handler(event(client, "0" * 32, "1" * 32)) == {"unknown": 1}
    late = f"recordings/{client.user_id}/{ids['purged']}/{ids['purged attempt']}"
    boto3.client("s3", region_name=REGION).put_object(Bucket=settings.RECORDINGS_BUCKET, Key=late, Body=b"x")
    assert handler(event(client, ids["purged"], ids["purged attempt"])) == {"orphan": 1}
    shared, order = kept(client.user_id, ids["shared"]), f"{ids['share']}.order"
    assert handler(event(client, shared.id, order)) == {"preparing": 1}
    (cut,) = (each for each in orders if each["task"] == "cut")
    assert done(cut) == {"ready": 1}
    boto3.client("s3", region_name=REGION).head_object(
        Bucket=settings.RECORDINGS_BUCKET, Key=shared.excerpt_key(ids["share"])
    )

    outcomes = handler({"source": "aws.events", "detail-type": "Scheduled Event"})
    assert not outcomes.keys() & {"failed", "unclear", "closed"}, outcomes
    for name in ("event", "sweep", "parts", "unproven"):
        found = kept(client.user_id, ids[name])
        assert found.status == "ready"
        if name == "parts":
            assert handler(event(client, ids[name])) == {"ready": 1}
            found = kept(client.user_id, ids[name])
        assert found.verified_at
    for name in ("abandoned", "abandoned parts", "trashed", "trashed too"):
        assert row(client.user_id, ids[name]) is None
    assert work("revoke", client.user_id) is None
    assert work("account", guest.user_id)
    assert work("account", closed.user_id)
    assert f"/{closed.user_id}/" in str(snapshot()["versions"])


@pytest.fixture(autouse=True)
def closing_is_elsewhere(settings: Settings, stack: None) -> None:
    settings.CLOSING_ROLE = f"arn:aws:iam::123456789012:role/{physical('ClosingRole')}"


@pytest.fixture
def orders(settings: Settings, monkeypatch: pytest.MonkeyPatch, event_role: Role) -> list[Order]:
    """What Lambda was told to have decoded, under the role of whoever told it."""
    settings.DECODE_FUNCTION = physical("DecodeFunction")
    (url,) = boto3.client("sqs", region_name=REGION).list_queues(QueueNamePrefix="test-DecodeAnswers")["QueueUrls"]
    settings.DECODE_ANSWERS = f"arn:aws:sqs:{REGION}:123456789012:{url.rpartition('/')[2]}"
    monkeypatch.setattr(decode_function, "http", Http())
    found: list[Order] = []
    call, sign = functions.call, presign.presign_form

    def note(function: str, order: Order) -> None:
        call(function, order)
        found.append(order)

    def ask(key: str, **how: Any) -> presign.Form:
        event_role.ask(("s3:PutObject", f"arn:aws:s3:::{settings.RECORDINGS_BUCKET}/{key}", ()))
        return sign(key, **how)

    monkeypatch.setattr(functions, "call", note)
    monkeypatch.setattr(presign, "presign_form", ask)  # see iam.needs
    return found


def done(order: Order) -> dict[str, int]:
    """The function does it, with what it was given and nothing else; its answer arrives."""
    told = {"requestContext": {"condition": "Success"}, "requestPayload": order}
    body = json.dumps({**told, "responsePayload": decode_function.handler(order)})
    arn = settings.DECODE_ANSWERS
    return handler({"Records": [{"eventSource": "aws:sqs", "eventSourceARN": arn, "body": body}]})


@pytest.fixture
def waiting() -> tuple[Client, dict[str, str], Client, Client]:
    """An account with work for the second function, a guest who is long gone, and a closing that was cut off."""
    alice, guest, closed = sign_up(), sign_up(), sign_up()
    ids = overdue(alice)
    ids["purged"] = alice.record(b"purged" * 100)["id"]
    ids["purged attempt"] = kept(alice.user_id, ids["purged"]).attempt
    assert alice.delete(f"recordings/{ids['purged']}/?permanent=true").status == 204
    ids["shared"] = alice.upload(encode(tone(2, 8000), "wav, mu-law")).json["id"]
    expired, ids["share"] = (part(alice, ids["shared"]) for _ in range(2))
    expire(alice, ids["shared"], expired)
    Excerpt(f"excerpt:{expired}", alice.user_id).update([Excerpt.due_at.set(LONG_AGO)])
    assert guest.upload(b"guest" * 100).status == 201
    for session in Session.all_of(guest.user_id):
        session.update([Session.last_seen_at.set(LONG_AGO)])
    for content in (b"one" * 100, b"two" * 100, LARGE):
        put(closed, content)
    part(closed, closed.upload(b"three" * 100).json["id"])
    assert closed.delete("accounts/me/").status == 202
    with failing("TransactWriteItems"):
        assert alice.delete("recordings/?shelf=trash").status == 202
    Work.of("revoke", alice.user_id, due_at=LONG_AGO).save()
    for kind, user_id in (("account", guest.user_id), ("account", closed.user_id), ("trash", alice.user_id)):
        found = work(kind, user_id)
        assert found is not None
        found.update([Work.due_at.set(LONG_AGO)])
    return alice, ids, guest, closed


# With these a request of an image that knows no closing function gets as far as S3's refusal, which it leaves to its
# sweep; without them it would crash.
FOR_EARLIER_IMAGES = {"s3:ListBucketVersions", "s3:ListBucketMultipartUploads", "dynamodb:BatchWriteItem"}


def superfluous(role: Role, *, lambdas: set[str]) -> list[tuple[str, str]]:
    """Grants that nothing asked for. `lambdas` are those that Lambda itself uses: logs and dead letters."""
    assert all(role.asked.values()), [need for need, allowed in role.asked.items() if not allowed]
    return [
        (action, resource)
        for action, resource in role.grants
        if action not in lambdas and all(role.without(action, resource).allows(*need) for need in role.asked)
    ]


def test_people_can_do_all_they_do_under_the_http_role_which_grants_nothing_more(http_role: Role) -> None:
    with acting_as(http_role):
        alice = main_job()
        assert alice.delete("accounts/me/").status == 202
    assert superfluous(http_role, lambdas=FOR_EARLIER_IMAGES | LOGS) == []


@pytest.mark.check
def test_events_and_sweeps_do_their_work_under_the_event_role_which_grants_nothing_more(
    event_role: Role, waiting: tuple[Client, dict[str, str], Client, Client], orders: list[Order]
) -> None:
    with acting_as(event_role):
        event_job(*waiting, orders)
    assert orders
    lambdas = {*LOGS, "sqs:SendMessage"}
    lambdas |= {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
    assert superfluous(event_role, lambdas=lambdas) == []


@pytest.mark.check
def test_accounts_are_closed_under_the_closing_role_which_grants_nothing_more(
    closing_role: Role, waiting: tuple[Client, dict[str, str], Client, Client]
) -> None:
    alice, ids, guest, closed = waiting
    with acting_as(closing_role):
        assert closing_handler(SCHEDULE) == {"closed": 2}
        assert (remains(guest.user_id), remains(closed.user_id)) == ([], [])
        let_urls_end(guest.user_id)
        let_urls_end(closed.user_id)
        assert closing_handler(SCHEDULE) == {"forgotten": 2}
    assert (traces(guest.user_id), traces(closed.user_id)) == ([], [])
    assert row(alice.user_id, ids["trashed"]), "which was due, but is not this function's"
    assert work("trash", alice.user_id)
    assert superfluous(closing_role, lambdas=LOGS) == []


def test_an_earlier_image_erases_nothing_under_these_roles_and_its_closings_wait(
    http_role: Role, event_role: Role, closing_role: Role, settings: Settings
) -> None:
    """It tries, in requests and in its sweep, since it knows no CLOSING_ROLE."""
    alice = sign_up()
    alice.record(b"mine" * 100)
    role, settings.CLOSING_ROLE = settings.CLOSING_ROLE, ""
    with acting_as(http_role):
        assert alice.delete("accounts/me/").status == 202
    before = snapshot()["versions"]
    assert len(before) == 1
    with acting_as(event_role):
        assert handler(SCHEDULE) == {"failed": 1}  # and again an hour later
    assert snapshot()["versions"] == before
    settings.CLOSING_ROLE = role
    make_due(alice.user_id, f"account:{alice.user_id}")
    with acting_as(closing_role):
        assert closing_handler(SCHEDULE) == {"closed": 1}
    assert remains(alice.user_id) == []
    assert snapshot()["versions"] == []


def test_what_decodes_may_write_its_log_and_its_answers_and_nothing_else(decode_role: Role) -> None:
    assert {action for action, _ in decode_role.grants} == {
        *("logs:CreateLogStream", "logs:PutLogEvents", "sqs:SendMessage")
    }
    (answers,) = (resource for action, resource in decode_role.grants if action == "sqs:SendMessage")
    assert "-DecodeAnswers-" in answers
    properties = translated()["Resources"]["DecodeFunction"]["Properties"]
    assert "Environment" not in properties
    assert properties["Role"] == {"Fn::GetAtt": ["DecodeRole", "Arn"]}


def test_a_role_with_one_grant_less_fails(http_role: Role) -> None:
    """The tests above would notice: here with the one that is forgotten most easily."""
    http_role = http_role.without("s3:ListBucket", f"arn:aws:s3:::{settings.RECORDINGS_BUCKET}")
    with acting_as(http_role):
        assert sign_up().get("/health/?deep=1").status == 503


SCHEDULE = {"source": "aws.events"}
LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
DENIED = [
    ("dynamodb:GetItem", "arn:aws:dynamodb:ap-northeast-2:123456789012:table/another"),
    ("dynamodb:GetItem", "arn:aws:dynamodb:us-east-1:123456789012:table/test-users"),
    ("dynamodb:GetItem", "arn:aws:dynamodb:ap-northeast-2:210987654321:table/test-users"),
    ("dynamodb:Scan", "arn:aws:dynamodb:ap-northeast-2:123456789012:table/test-users"),
    ("dynamodb:Query", "arn:aws:dynamodb:ap-northeast-2:123456789012:table/test-recordings"),
    ("dynamodb:DeleteTable", "arn:aws:dynamodb:ap-northeast-2:123456789012:table/test-users"),
    ("dynamodb:UpdateTable", "arn:aws:dynamodb:ap-northeast-2:123456789012:table/test-users"),
    ("dynamodb:UpdateTimeToLive", "arn:aws:dynamodb:ap-northeast-2:123456789012:table/test-users"),
    ("dynamodb:UpdateContinuousBackups", "arn:aws:dynamodb:ap-northeast-2:123456789012:table/test-users"),
    ("dynamodb:ExportTableToPointInTime", "arn:aws:dynamodb:ap-northeast-2:123456789012:table/test-users"),
    ("dynamodb:ListTables", "*"),
    ("s3:GetObject", "arn:aws:s3:::another/recordings/x"),
    ("s3:GetObject", "arn:aws:s3:::test-recordings-123456789012-ap-northeast-2/elsewhere/x"),
    ("s3:GetObjectVersion", "arn:aws:s3:::test-recordings-123456789012-ap-northeast-2/recordings/x"),
    ("s3:PutObjectAcl", "arn:aws:s3:::test-recordings-123456789012-ap-northeast-2/recordings/x"),
    ("s3:PutBucketPolicy", "arn:aws:s3:::test-recordings-123456789012-ap-northeast-2"),
    ("s3:PutBucketVersioning", "arn:aws:s3:::test-recordings-123456789012-ap-northeast-2"),
    ("s3:PutLifecycleConfiguration", "arn:aws:s3:::test-recordings-123456789012-ap-northeast-2"),
    ("s3:DeleteBucket", "arn:aws:s3:::test-recordings-123456789012-ap-northeast-2"),
    ("s3:ListBucketVersions", "arn:aws:s3:::test-recordings-123456789012-ap-northeast-2"),
    ("s3:ListAllMyBuckets", "*"),
    ("iam:PassRole", "arn:aws:iam::123456789012:role/x"),
    ("iam:CreateUser", "*"),
    ("sts:AssumeRole", "arn:aws:iam::123456789012:role/x"),
    ("secretsmanager:GetSecretValue", "*"),
    ("lambda:InvokeFunction", "*"),
    ("kms:Decrypt", "*"),
    ("logs:CreateLogGroup", "*"),
    ("logs:PutLogEvents", "arn:aws:logs:ap-northeast-2:123456789012:log-group:another:*"),
]


def test_anything_else_is_denied(http_role: Role, event_role: Role, closing_role: Role, decode_role: Role) -> None:
    assert [call for call in DENIED if decode_role.allows(*call)] == []
    version = "s3:DeleteObjectVersion", f"arn:aws:s3:::{settings.RECORDINGS_BUCKET}/recordings/x"
    assert [role.allows(*version) for role in (http_role, event_role, decode_role)] == [False] * 3
    assert closing_role.allows(*version)
    for operation in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"):
        assert not closing_role.allows(operation, version[1])
    for role in (http_role, event_role, closing_role):
        assert [call for call in DENIED if role.allows(*call)] == []
        bucket = f"arn:aws:s3:::{settings.RECORDINGS_BUCKET}"
        assert not role.allows("s3:ListBucket", bucket, (("s3:prefix", "elsewhere/"),))
        listing = "s3:ListBucketVersions" if role is closing_role else "s3:ListBucket"
        assert role.allows(listing, bucket, (("s3:prefix", "recordings/x"),))
        assert not any("*" in action for action, _ in role.grants)
    assert not http_role.allows("dynamodb:Query", BY_DUE)
    assert event_role.allows("dynamodb:Query", BY_DUE)
    assert not event_role.allows("dynamodb:PutItem", DENIED[3][1])


BY_DUE = "arn:aws:dynamodb:ap-northeast-2:123456789012:table/test-recordings/index/by_due"
