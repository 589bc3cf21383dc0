"""AWS's answers that no service of AWS wrote: from a proxy on the way, or from a host that is going down."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from aws import dynamo, s3
from tests.client import Client


class Body(BytesIO):
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b'{"message": null}'])
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("service", ["dynamodb", "s3"])
def test_a_strange_failure_is_a_503(
    alice: Client, monkeypatch: pytest.MonkeyPatch, service: str, status: int, body: bytes
) -> None:
    id = alice.create(b"what was said").json["recording"]["id"]
    client: Any = dynamo.dynamo().client if service == "dynamodb" else s3.client()
    sent = []

    def answer(request: Any, **_: Any) -> AWSResponse:
        sent.append(request.url)
        return AWSResponse(request.url, status, HTTPHeaders(), Body(body))

    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    client.meta.events.register_first("before-send", answer)
    try:
        got = alice.post(f"recordings/{id}/complete/")
    finally:
        client.meta.events.unregister("before-send", answer)
    assert (got.status, got.code, len(sent)) == (503, "unavailable", 3), got
    assert int(got.headers["Retry-After"]) >= 1
    assert got.headers["Content-Type"] == "application/problem+json"
    assert alice.post(f"recordings/{id}/complete/").code == "upload_incomplete"
