"""Endpoints under accounts/."""

import hmac
from typing import cast

from django.conf import settings
from django.http import QueryDict
from drf_spectacular.utils import OpenApiParameter
from rest_framework.authentication import get_authorization_header
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from accounts import export, feeds, identities, login, serializers, services, throttles
from accounts.authentication import set_cookie
from accounts.models import Session
from accounts.providers import table as providers
from lib.documented import extend_schema
from lib.origin import origin
from lib.parsers import FormParser
from lib.problems import Problem, invalid, not_found


def caller(request: Request) -> Session:
    return cast("Session", request.user)


class AccountsViewSet(ViewSet):
    @extend_schema(responses=serializers.ProviderSerializer(many=True), auth=[])
    @action(detail=False, authentication_classes=[], permission_classes=[])
    def providers(self, request: Request) -> Response:
        """What this server accepts for signing in."""
        return Response([provider.public() for provider in providers.offered().values()])

    @extend_schema(
        request=serializers.LoginSerializer,
        responses={201: serializers.LoggedInSerializer, 200: serializers.LoggedInSerializer},
        auth=[],
    )
    @action(detail=False, methods=["post"], authentication_classes=[], permission_classes=[])
    def login(self, request: Request) -> Response:
        """Sign up or log in with what a provider's SDK gave. `guest` needs no credential and makes a new account.

        401 `invalid_credential` means: sign in at the provider again. 503 `provider_unavailable`: try again later.
        """
        data = serializers.LoginSerializer.read(request.data)
        answer = login.log_in(data, address=throttles.address(request._request))
        return Response(answer, 201 if answer["is_new"] else 200, headers={"Cache-Control": "no-store"})

    @extend_schema(request=None, responses={204: None})
    @action(detail=False, methods=["post"])
    def logout(self, request: Request) -> Response:
        """End this session; its key is worth nothing from now on."""
        services.end_session(caller(request).id, caller(request).auth_key)
        return Response(status=204)


class MeView(ViewSet):
    @extend_schema(responses=serializers.AccountSerializer)
    def retrieve(self, request: Request) -> Response:
        """The account, with what it uses and may use."""
        return Response(services.describe(caller(request)))

    @extend_schema(request=serializers.RenameAccountSerializer, responses=serializers.AccountSerializer)
    def partial_update(self, request: Request) -> Response:
        """Change the account's name."""
        data = serializers.RenameAccountSerializer.read(request.data)
        return Response(services.rename(caller(request), data["name"]))

    @extend_schema(responses={202: None})
    def destroy(self, request: Request) -> Response:
        """Close the account for good, with all its recordings. Its keys stop working at once.

        8 hours later at the latest nobody can bring a recording of it back, the operator neither. Names, notes and the
        e-mail address are in backups of the tables for 35 days.

        Needs a login within the last 10 minutes, unless the account is a guest's.
        """
        throttles.hit("close", caller(request).id)
        services.require_recent_login(caller(request))
        services.close(caller(request).id)
        return Response(status=202)

    @extend_schema(parameters=[serializers.ExportQuery], responses=serializers.ExportSerializer)
    def export(self, request: Request) -> Response:
        """All that is stored about the account, with URLs for the bytes. Follow `next_cursor` to the end.

        A recording that changes meanwhile comes again on a later page.
        """
        query = serializers.ExportQuery.read(request.query_params.dict())
        return Response(export.page(caller(request), query["cursor"]), headers={"Cache-Control": "no-store"})


class SessionViewSet(ViewSet):
    lookup_field = "session_id"
    lookup_value_regex = "[^/]+"

    @extend_schema(responses=serializers.SessionsSerializer)
    def list(self, request: Request) -> Response:
        """The devices that are signed in, the one seen last first."""
        return Response({"results": services.sessions(caller(request))})

    @extend_schema(
        operation_id="accounts_sessions_destroy_others",
        parameters=[OpenApiParameter("scope", str, enum=["others"], required=True)],
        responses={204: None},
    )
    def destroy_many(self, request: Request) -> Response:
        """Sign out every device but this one, and close the feeds that they have made.

        Needs a login within the last 10 minutes, unless for a guest.
        """
        if request.query_params.dict() != {"scope": "others"}:
            raise invalid("/scope", "required", "Say ?scope=others to sign out every other device.")
        services.require_recent_login(caller(request))
        feeds.sign_out_others(caller(request))
        return Response(status=204)

    @extend_schema(
        parameters=[OpenApiParameter("session_id", str, OpenApiParameter.PATH)],
        responses={204: None},
    )
    def destroy(self, request: Request, session_id: str) -> Response:
        """Sign one device out. Another than this needs a login within the last 10 minutes, unless for a guest."""
        if session_id != caller(request).auth_key:
            services.require_recent_login(caller(request))
        services.end_session(caller(request).id, session_id)
        return Response(status=204)


class IdentityViewSet(ViewSet):
    lookup_field = "id"
    lookup_value_regex = "[^/]+"

    @extend_schema(responses=serializers.IdentitiesSerializer)
    def list(self, request: Request) -> Response:
        """The logins that open this account."""
        return Response({"results": identities.listed(caller(request).id)})

    @extend_schema(
        request=serializers.LinkSerializer,
        responses={201: serializers.LinkedSerializer, 200: serializers.LinkedSerializer},
    )
    def create(self, request: Request) -> Response:
        """Let one more login open this account; a guest's account becomes a full one and keeps its recordings.

        200 when it was linked already. Needs a login within the last 10 minutes, unless the account is a guest's. A
        guest gets a new key, in `session`: all other sessions end, and feeds close. A browser's cookie follows.
        """
        data = serializers.LinkSerializer.read(request.data)
        linked, is_new = identities.link(caller(request), data)
        response = Response(linked, 201 if is_new else 200, headers={"Cache-Control": "no-store"})
        if linked["session"] and not get_authorization_header(request):
            set_cookie(response, linked["session"]["auth_key"])
        return response

    @extend_schema(parameters=[OpenApiParameter("id", str, OpenApiParameter.PATH)], responses={204: None})
    def destroy(self, request: Request, id: str) -> Response:
        """Unlink a login; the last one can't go. Needs a login within the last 10 minutes."""
        identities.unlink(caller(request), id)
        return Response(status=204)


class FeedViewSet(ViewSet):
    lookup_field = "id"
    lookup_value_regex = "[^/]+"

    @extend_schema(responses=serializers.FeedsSerializer)
    def list(self, request: Request) -> Response:
        """The account's podcast feeds. Their addresses are not among what is told: they were shown once."""
        return Response({"results": feeds.listed(caller(request).id)})

    @extend_schema(request=serializers.CreateFeedSerializer, responses={201: serializers.NewFeedSerializer})
    def create(self, request: Request) -> Response:
        """Get an address where a podcast app finds the recordings, all or those with a tag, without signing in.

        Whoever has it can listen, until the feed is deleted. 409 `too_many_feeds` above 10. Needs a login within the
        last 10 minutes, unless the account is a guest's.
        """
        data = serializers.CreateFeedSerializer.read(request.data)
        services.require_recent_login(caller(request))
        where = origin(request._request)
        feed = feeds.create(caller(request), origin=where, tag=data.get("tag"), title=data.get("title"))
        return Response(feed, 201, headers={"Cache-Control": "no-store"})

    @extend_schema(parameters=[OpenApiParameter("id", str, OpenApiParameter.PATH)], responses={204: None})
    def destroy(self, request: Request, id: str) -> Response:
        """Delete a feed; its address stops working at once."""
        feeds.close(caller(request).id, id)
        return Response(status=204)


class KakaoView(ViewSet):
    """What Kakao calls. https://developers.kakao.com/docs/latest/en/kakaologin/callback"""

    authentication_classes = ()
    permission_classes = ()
    parser_classes = (FormParser,)

    @extend_schema(exclude=True)
    def unlinked(self, request: Request) -> Response:
        """Somebody has disconnected this app at Kakao. Whom we don't know is fine with Kakao too."""
        if not settings.KAKAO_ADMIN_KEY:
            raise not_found()
        data = cast("QueryDict", request.data if request.method == "POST" else request.query_params)
        expected = f"KakaoAK {settings.KAKAO_ADMIN_KEY}".encode()
        genuine = hmac.compare_digest(get_authorization_header(request), expected)
        if not genuine or data.get("app_id") != settings.KAKAO_APP_ID:
            throttles.hit("key", throttles.address(request._request))
            raise Problem(403, "forbidden", "This is for Kakao alone.")
        identities.unlinked_at_kakao(str(data.get("user_id", "")))
        return Response(status=200)
