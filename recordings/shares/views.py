"""Endpoints under recordings/{id}/shares/."""

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from lib.documented import extend_schema
from lib.origin import origin
from recordings.keys import RecordingId
from recordings.shares import links as sharing
from recordings.shares import serializers as serializers
from recordings.shares.serializers import share
from recordings.views import ID, caller_id, require_recent_login

SHARE_ID = OpenApiParameter("share_id", str, OpenApiParameter.PATH)


class ShareViewSet(ViewSet):
    lookup_field = "share_id"
    lookup_value_regex = "[^/]+"

    @extend_schema(parameters=[ID], responses=serializers.SharesSerializer)
    def list(self, request: Request, id: RecordingId) -> Response:
        """The recording's links that work, in the order in which they were made; not the links themselves."""
        return Response({"results": [share(row) for row in sharing.shares_of(caller_id(request), id)]})

    @extend_schema(
        parameters=[ID],
        request=serializers.ShareCreateSerializer,
        responses={201: serializers.NewShareSerializer},
    )
    def create(self, request: Request, id: RecordingId) -> Response:
        """Make a link by which anybody can listen to this recording, or a part of it, without an account.

        It works until it expires or is revoked, and not while the recording is in the trash. A part is cut out into a
        file of its own, which takes a moment. At most 20 for a recording (409 `too_many_shares`), and 30 parts an hour
        for an account (429). One for more than a day wants a login within the last 10 minutes (403
        `reauthentication_required`), unless for a guest.
        """
        wanted = serializers.ShareCreateSerializer.read(request.data)
        if serializers.is_long(wanted["expires_at"]):
            require_recent_login(request)
        made = wanted["password"] if wanted.pop("made_here") else None
        row, token = sharing.create(caller_id(request), id, wanted)
        url = f"{origin(request._request)}/s/{token}"
        return Response(share(row) | {"url": url, "password": made}, 201, headers={"Cache-Control": "no-store"})

    @extend_schema(parameters=[ID, SHARE_ID], responses={204: None})
    def destroy(self, request: Request, id: RecordingId, share_id: str) -> Response:
        """Revoke a link: it stops working at once. A download that has begun goes on for up to 15 minutes."""
        sharing.revoke(caller_id(request), id, share_id)
        return Response(status=204)
