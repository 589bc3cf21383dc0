"""Endpoints under accounts/."""

from dataclasses import asdict
from typing import cast

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from accounts import providers, serializers, services
from accounts.models import Session
from recorder_project.problems import invalid


def caller(request: Request) -> Session:
    return cast("Session", request.user)


class AccountsViewSet(ViewSet):
    @extend_schema(responses=serializers.ProviderSerializer(many=True), auth=[])
    @action(detail=False, authentication_classes=[], permission_classes=[])
    def providers(self, request: Request) -> Response:
        """What this server accepts for signing in."""
        return Response([asdict(provider) for provider in providers.offered().values()])

    @extend_schema(
        request=serializers.LoginSerializer,
        responses={201: serializers.LoggedInSerializer, 200: serializers.LoggedInSerializer},
        auth=[],
    )
    @action(detail=False, methods=["post"], authentication_classes=[], permission_classes=[])
    def login(self, request: Request) -> Response:
        """Sign up or log in. `guest` needs no credential and always makes a fresh, empty account."""
        data = serializers.LoginSerializer.read(request.data)
        if data["provider"] not in providers.offered():
            raise invalid("/provider", "unknown_provider", "This server does not offer that provider.")
        answer = services.log_in(device_name=data["device_name"])
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
        """Close the account for good, with all its recordings. Its keys stop working at once."""
        services.close(caller(request).id)
        return Response(status=202)


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
        """Sign out every device but this one."""
        if request.query_params.dict() != {"scope": "others"}:
            raise invalid("/scope", "required", "Say ?scope=others to sign out every other device.")
        services.end_sessions(caller(request).id, but=caller(request).auth_key)
        return Response(status=204)

    @extend_schema(
        parameters=[OpenApiParameter("session_id", str, OpenApiParameter.PATH)],
        responses={204: None},
    )
    def destroy(self, request: Request, session_id: str) -> Response:
        """Sign one device out."""
        services.end_session(caller(request).id, session_id)
        return Response(status=204)
