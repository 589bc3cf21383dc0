"""Endpoints under recordings/."""

import hashlib
from collections.abc import Mapping
from typing import cast

from django.conf import settings
from django.http import HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils.http import parse_etags
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from aws.presign import end_of
from lib import fields
from lib.documented import extend_schema
from lib.negotiation import OfItsOwn
from lib.parsers import RawParser
from lib.problems import FieldError, Problem
from recordings import completion, library, markers, serializers, trash, uploads
from recordings.changes import sync
from recordings.keys import RecordingId, UserId
from recordings.models import Declaration, Recording
from recordings.serializers import recording

ID = OpenApiParameter("id", {"type": "string", "pattern": "^[0-9a-f]{32}$"}, OpenApiParameter.PATH)

IF_NONE_MATCH = OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER, description="304 if nothing is new.")
NOT_MODIFIED = OpenApiResponse(description="Nothing is new.")
IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description="412 if another was faster.")


def caller_id(request: Request) -> UserId:
    return cast("UserId", request.user.id)  # type: ignore[union-attr]  # a Session


def require_recent_login(request: Request) -> None:
    """Raises 403 `reauthentication_required`, as accounts decide it, for what a stolen key must not do."""
    if settings.REQUIRE_RECENT_LOGIN:
        request.user.require_recent_login()  # type: ignore[union-attr]  # a Session


def etag(*parts: object) -> str:
    """A strong ETag (RFC 9110) of what an answer shows; a recording's is its version."""
    plain = str(parts[0]) if len(parts) == 1 else hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
    return f'"{plain}"'


def one(row: Recording, status: int = 200) -> Response:
    return Response(recording(row), status, headers={"ETag": etag(row.version)})


def conditional(request: Request, content: Mapping[str, object], tag: str) -> Response:
    """The content, or 304 where `If-None-Match` says that the client has it.

    The browsable API's page is something else than the JSON that its browser may have got before, and has no ETag.
    """
    if request.accepted_renderer.format == "api":
        return Response(content)
    known = parse_etags(request.headers.get("If-None-Match", ""))
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if "*" in known or tag in [each.removeprefix("W/") for each in known]:
        return Response(status=304, headers=headers)
    return Response(content, headers=headers)


def if_match(request: Request) -> set[str] | None:
    """The versions that the caller means, None for any."""
    tags = parse_etags(request.headers.get("If-Match", ""))
    return None if not request.headers.get("If-Match") or "*" in tags else {tag.strip('"') for tag in tags}


class RecordingViewSet(ViewSet):
    lookup_field = "id"
    lookup_value_regex = "[^/]+"

    @extend_schema(
        request=serializers.CreateSerializer,
        responses={201: serializers.CreatedSerializer, 200: serializers.CreatedSerializer},
    )
    def create(self, request: Request) -> Response:
        """Declare a recording and get told where its bytes go. Safe to repeat: the same content is the same recording.

        200 when it is known already: an upload under way goes on with a fresh URL, a trashed recording is restored.
        """
        data = serializers.CreateSerializer.read(request.data)
        row, is_new, upload = uploads.create(caller_id(request), data)
        answer = {"recording": recording(row), "upload": upload}
        return Response(answer, 201 if is_new else 200)

    @extend_schema(
        parameters=[serializers.ListQuery, IF_NONE_MATCH],
        responses={200: serializers.PageSerializer, 304: NOT_MODIFIED},
    )
    def list(self, request: Request) -> Response:
        """A shelf's recordings, newest first. A page may end early: only a null `next_cursor` means the end."""
        query = serializers.ListQuery.read(request.query_params.dict())
        filters = library.Filters(
            query["shelf"], query["tag"], query["search"].casefold(), query.get("from"), query.get("to")
        )
        rows, cursor = library.page(caller_id(request), filters, limit=query["limit"], cursor=query["cursor"])
        content = {"results": [recording(row) for row in rows], "next_cursor": cursor}
        return conditional(request, content, etag([(row.id, row.version) for row in rows], cursor is None))

    @extend_schema(
        operation_id="recordings_empty_trash", parameters=[serializers.EmptyTrashQuery], responses={202: None}
    )
    def destroy_many(self, request: Request) -> Response:
        """Empty the trash: purge everything that is in it now. That is certain; it may go on after the answer.

        It wants a login within the last 10 minutes (403 `reauthentication_required`), unless for a guest.
        """
        serializers.EmptyTrashQuery.read(request.query_params.dict())
        require_recent_login(request)
        trash.empty_trash(caller_id(request))
        return Response(status=202)

    @extend_schema(parameters=[serializers.ChangesQuery], responses=serializers.ChangesSerializer)
    @action(detail=False)
    def changes(self, request: Request) -> Response:
        """What changed since the cursor, in order, and nothing missed: for a device that keeps a copy.

        Recordings come as they are now (uploads under way too), purged ones as `{"id", "deleted": true}`. Without a
        cursor it begins at the beginning. A page ends before what is just being written; the next one has it. 410
        `cursor_expired` after 90 days: begin again.
        """
        query = serializers.ChangesQuery.read(request.query_params.dict())
        found, cursor, more = sync.changes(caller_id(request), query["cursor"], limit=query["limit"])
        return Response(
            {"changes": [serializers.changed(entry) for entry in found], "cursor": cursor, "has_more": more}
        )

    @extend_schema(request=serializers.CheckSerializer, responses=serializers.CheckResultsSerializer)
    @action(detail=False, methods=["post"])
    def check(self, request: Request) -> Response:
        """Which of these hashes are here already: for a device that is about to upload many files.

        What came under an upload grant (Uppy) is not among them. Lists and changes have it, with its `sha256`.
        """
        data = serializers.CheckSerializer.read(request.data)
        return Response({"results": sync.check(caller_id(request), data["sha256"])})

    @extend_schema(parameters=[ID, IF_NONE_MATCH], responses={200: serializers.DetailSerializer, 304: NOT_MODIFIED})
    def retrieve(self, request: Request, id: RecordingId) -> Response:
        """One recording."""
        row = library.find(caller_id(request), id)
        return conditional(request, serializers.detail(row), etag(row.version))

    @extend_schema(
        parameters=[ID, IF_MATCH], request=serializers.EditSerializer, responses=serializers.RecordingSerializer
    )
    def partial_update(self, request: Request, id: RecordingId) -> Response:
        """Rename it, tag it, write notes, mark it as a favourite, mark moments in it."""
        values = serializers.EditSerializer.read(request.data, partial=True)
        return one(library.edit(caller_id(request), id, values, expected=if_match(request)))

    @extend_schema(parameters=[ID, IF_MATCH, serializers.DestroyQuery], responses={204: None})
    def destroy(self, request: Request, id: RecordingId) -> Response:
        """Put it into the trash, or purge it for good. An upload that is not complete is purged either way.

        Nobody but the operator can bring back what is purged, for 35 days. Purging wants a login within the last
        10 minutes (403 `reauthentication_required`), unless for a guest.
        """
        query = serializers.DestroyQuery.read(request.query_params.dict())
        if query["permanent"]:
            require_recent_login(request)
        act = trash.purge if query["permanent"] else trash.trash
        act(caller_id(request), id, expected=if_match(request))
        return Response(status=204)

    @extend_schema(parameters=[ID], request=serializers.PartsSerializer, responses=serializers.PartUrlsSerializer)
    @action(detail=True, methods=["post"])
    def parts(self, request: Request, id: RecordingId) -> Response:
        """Get URLs for parts of a multipart upload, each for the bytes with the SHA-256 that you declare for it."""
        data = serializers.PartsSerializer.read(request.data)
        return Response({"parts": uploads.parts(caller_id(request), id, data["parts"])})

    @extend_schema(parameters=[ID], request=None, responses=serializers.RecordingSerializer)
    @action(detail=True, methods=["post"])
    def complete(self, request: Request, id: RecordingId) -> Response:
        """Say that all bytes are sent. `ready` comes back once they are proven to be the declared ones."""
        return one(completion.complete(caller_id(request), id))

    @extend_schema(parameters=[ID], request=None, responses=serializers.RecordingSerializer)
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, id: RecordingId) -> Response:
        """Take it out of the trash."""
        return one(trash.restore(caller_id(request), id))

    @extend_schema(
        parameters=[ID, serializers.DownloadQuery],
        responses={302: OpenApiResponse(description="To the bytes."), 200: serializers.DownloadSerializer},
    )
    @action(detail=True, content_negotiation_class=OfItsOwn)
    def download(self, request: Request, id: RecordingId) -> HttpResponseBase:
        """Go to the bytes: a URL for some hours, where Range works and which must not get the Authorization header."""
        query = serializers.DownloadQuery.read(request.query_params.dict())
        inline, head = query["disposition"] == "inline", request.method == "HEAD"
        url = library.download(caller_id(request), id, inline=inline, head=head)
        headers = {"Cache-Control": "no-store"}
        if query["redirect"]:
            return HttpResponseRedirect(url, headers=headers)
        return Response({"url": url, "expires_at": end_of(url)}, headers=headers)

    @extend_schema(
        parameters=[ID, serializers.MarkersQuery],
        responses={(200, "text/vtt"): OpenApiTypes.STR, (200, "text/plain"): OpenApiTypes.STR},
    )
    @action(detail=True, content_negotiation_class=OfItsOwn)
    def markers(self, request: Request, id: RecordingId) -> HttpResponseBase:
        """The markers for other programs: WebVTT chapters, or labels for Audacity."""
        form = serializers.MarkersQuery.read(request.query_params.dict())["as"]
        row = library.find(caller_id(request), id)
        if form == "audacity":
            return HttpResponse(markers.audacity(row.markers), content_type="text/plain; charset=utf-8")
        return HttpResponse(markers.webvtt(row.markers, row.duration), content_type="text/vtt; charset=utf-8")

    @extend_schema(parameters=[ID, IF_NONE_MATCH], responses={200: serializers.WaveformSerializer, 304: NOT_MODIFIED})
    @action(detail=True)
    def waveform(self, request: Request, id: RecordingId) -> Response:
        """What it looks like, and where its silences are. 404 until it has been listened to, or without sound."""
        row = library.find_heard(caller_id(request), id)
        return conditional(request, serializers.waveform(row), etag("waveform", row.stored_key))

    @extend_schema(
        parameters=[
            OpenApiParameter("name", fields.NAME, OpenApiParameter.PATH),
            serializers.UploadQuery,
        ],
        request=dict.fromkeys(fields.CONTENT_TYPES, OpenApiTypes.BINARY),
        responses={201: serializers.RecordingSerializer, 200: serializers.RecordingSerializer},
    )
    @action(detail=False, methods=["put"], url_path=r"upload/(?P<name>[\s\S]+)", parser_classes=[RawParser])
    def upload(self, request: Request, name: str) -> Response:
        """Send a small recording (at most 4 MiB) as it is; larger ones begin with POST recordings/.

        After a 503 it may stand as `uploading`: send it again, or wait for S3's event, and it is `ready`.
        """
        elsewhere = {"name": name, "content_type": request.content_type or ""}
        query = serializers.UploadQuery.read(request.query_params.dict())
        named = serializers.UploadSerializer.read(elsewhere)
        content = read_body(request)
        actual = hashlib.sha256(content).hexdigest()
        if query.get("sha256", actual) != actual:
            raise Problem(409, "checksum_mismatch", f"What arrived has the SHA-256 {actual}; nothing was kept.")
        declared: Declaration = {
            "name": named["name"],
            "content_type": named["content_type"],
            "sha256": actual,
            "size": len(content),
        }
        if "recorded_at" in query:
            declared["recorded_at"] = query["recorded_at"]
        row, is_new = completion.store(caller_id(request), content, declared)
        return one(row, 201 if is_new else 200)


def read_body(request: Request) -> bytes:
    """The whole body, which must be as long as Content-Length said: WSGI servers hand over a cut-off one as if it
    were whole. Under Lambda only HTTP_CONTENT_LENGTH is what the caller said, and a gateway that passes audio on as
    text instead of base64 has replaced bytes in it, perhaps three by three so that the length still fits.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-payload-encodings.html
    """
    if not request.META.get("apig_wsgi.full_event", {"isBase64Encoded": True}).get("isBase64Encoded"):
        raise Problem(400, "incomplete_body", "The gateway passed the body on as text. It has to treat it as binary.")
    declared = request.META.get("HTTP_CONTENT_LENGTH") or request.META.get("CONTENT_LENGTH") or ""
    if not (declared.isascii() and declared.isdigit()):
        raise Problem(411, "length_required", "Say how long the body is in Content-Length.")
    if len(declared) > 18 or int(declared) > completion.SMALL:
        raise Problem(
            413, "too_large", f"At most {completion.SMALL} bytes this way; POST recordings/ takes larger recordings."
        )
    content = request._request.read(completion.SMALL + 1)
    if len(content) != int(declared):
        raise Problem(400, "incomplete_body", f"{declared} bytes were announced, {len(content)} arrived.")
    if not content:
        raise Problem(400, "invalid", "The body is empty.", errors=[EMPTY])
    return content


EMPTY: FieldError = {"pointer": "", "code": "empty", "detail": "The body is empty."}
