"""Uppy's S3 contract behind a grant, for pages with an unmodified @uppy/aws-s3; docs/uppy.md describes it."""

import re
from typing import cast

from django.conf import settings
from drf_spectacular.utils import inline_serializer
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from accounts import grants, throttles
from accounts.models import Session
from aws.presign import seconds_of
from lib.documented import extend_schema
from lib.origin import origin
from lib.parsers import JsonObject
from lib.problems import Problem, invalid
from recordings import uppy
from recordings.uploads import MOST_PARTS
from recordings.views import caller_id

METADATA = re.compile(r"metadata\[(.+)\]", re.DOTALL)
NO_STORE = {"Cache-Control": "no-store"}


class GrantView(ViewSet):
    @extend_schema(
        operation_id="recordings_uppy_create",
        request=None,
        responses={
            200: inline_serializer(
                "UppyGrant",
                {
                    "endpoint": serializers.CharField(help_text="Uppy 5: `endpoint`; Uppy 6: `companionEndpoint`."),
                    "expires_at": serializers.DateTimeField(help_text="Ask again before, and after signing in anew."),
                },
            )
        },
    )
    def create(self, request: Request) -> Response:
        """Get an address under which Uppy's S3 plugin uploads into this account for some hours, without any key.

        It can do nothing but upload, and it ends with the session that asked for it. What is uploaded under it is a
        recording of its own, even where the account has the same bytes: an address tells nothing of what is there.
        """
        grant, expires_at = grants.issue(cast("Session", request.user))
        endpoint = f"{origin(request._request)}/uppy/{grant}"
        return Response({"endpoint": endpoint, "expires_at": expires_at}, headers=NO_STORE)


class GrantAuthentication(BaseAuthentication):
    """The grant in the path is all that counts: a cookie or a key of somebody else's changes nothing."""

    def authenticate(self, request: Request) -> tuple[Session, str]:
        grant = request.parser_context["kwargs"]["grant"]
        session = grants.redeem(grant)
        if session is None:
            throttles.hit("key", throttles.address(request._request))
            raise Problem(401, "invalid_grant", "This upload address has expired. Reload the page and sign in.")
        return session, grants.id_of(grant)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


@extend_schema(exclude=True)
class S3View(ViewSet):
    """Each answer is what Companion would give. Problems have Uppy's own `message` too, which it shows to people."""

    authentication_classes = (GrantAuthentication,)
    renderer_classes = (JSONRenderer,)

    def handle_exception(self, exc: Exception) -> Response:
        answer = super().handle_exception(exc)
        answer.data["message"] = answer.data["detail"]
        return answer

    def params(self, request: Request, grant: str) -> Response:
        query = request.query_params.dict()
        metadata = {match[1]: value for name, value in query.items() if (match := METADATA.fullmatch(name))}
        declared = uppy.declaration(query.get("filename"), query.get("type"), metadata)
        return Response(uppy.form(caller_id(request), str(request.auth), declared), headers=NO_STORE)

    def begin(self, request: Request, grant: str) -> Response:
        data = body(request)
        declared = uppy.declaration(data.get("filename"), data.get("type"), data.get("metadata"))
        return Response(uppy.begin(caller_id(request), str(request.auth), declared))

    def received(self, request: Request, grant: str, upload_id: str) -> Response:
        return Response(uppy.received(caller_id(request), key(request), upload_id), headers=NO_STORE)

    def sign(self, request: Request, grant: str, upload_id: str, number: int) -> Response:
        urls = uppy.sign(caller_id(request), key(request), upload_id, [number])
        return Response({"url": urls[number], "expires": seconds_of(urls[number])}, headers=NO_STORE)

    def sign_many(self, request: Request, grant: str, upload_id: str) -> Response:
        urls = uppy.sign(caller_id(request), key(request), upload_id, numbers(request))
        return Response({"presignedUrls": {str(number): url for number, url in urls.items()}}, headers=NO_STORE)

    def complete(self, request: Request, grant: str, upload_id: str) -> Response:
        row = uppy.finish(caller_id(request), key(request), upload_id, sent_parts(body(request)))
        location = f"{origin(request._request)}/api/v1/recordings/{row.id}/download/"
        return Response({"location": location, "key": row.key, "bucket": settings.RECORDINGS_BUCKET})

    def abort(self, request: Request, grant: str, upload_id: str) -> Response:
        """200 with a body: Uppy 5 reads JSON from every success."""
        uppy.give_up(caller_id(request), key(request), upload_id)
        return Response({})


def key(request: Request) -> str:
    return str(request.query_params.get("key", ""))


def body(request: Request) -> JsonObject:
    if not isinstance(request.data, dict):
        raise invalid("", "invalid", "The body is a JSON object.")
    return request.data


def numbers(request: Request) -> list[int]:
    found = str(request.query_params.get("partNumbers", "")).split(",")
    if not all(re.fullmatch(r"[0-9]{1,5}", number, re.ASCII) for number in found) or len(found) > 1000:
        raise invalid("/partNumbers", "invalid", "partNumbers are at most 1000 numbers with commas between them.")
    return [int(number) for number in found]


def sent_parts(data: JsonObject) -> set[int]:
    """The numbers of the parts that Uppy has sent. Their ETags may have quotes or not: those that S3 lists count."""
    parts = data.get("parts")
    found = [part.get("PartNumber") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    sent = {number for number in found if isinstance(number, int) and 1 <= number <= MOST_PARTS}
    if not sent or len(sent) < len(found):
        raise invalid("/parts", "invalid", "parts lists each part that was sent once, with its PartNumber and ETag.")
    return sent
