"""Shapes of what accounts take and give."""

from django.conf import settings
from rest_framework import serializers

from accounts import export, feeds, identities, login, services
from accounts.providers.table import Public, offered
from lib.fields import Form, StrictSerializer, Text, text
from recordings.serializers import DetailSerializer
from recordings.shares.serializers import ShareSerializer


def token(*, max_length: int, help_text: str) -> Form:
    """Printable ASCII without spaces, as it came from the provider."""
    return Form(r"^[\x21-\x7e]+\Z", max_length=max_length, required=False, help_text=help_text)


class CredentialSerializer(StrictSerializer[dict[str, str]]):
    """A provider and one of its credentials: `id_token` (with `nonce`), `access_token`, or `code` and its like."""

    provider = Text(help_text="One of those that `accounts/providers/` lists.")
    id_token = token(max_length=16384, help_text="As the provider's SDK gave it.")
    nonce = Text(
        max_length=256,
        required=False,
        trim_whitespace=False,
        help_text="The raw nonce; the provider was given the hex of its SHA-256.",
    )
    access_token = token(max_length=4096, help_text="For providers that say for which app it was issued.")
    code = token(max_length=4096, help_text="Of the code flow; for Apple also along with its id_token.")
    code_verifier = Form(
        r"^[A-Za-z0-9._~-]{43,128}\Z", required=False, help_text="PKCE: its S256 challenge went to the provider."
    )
    redirect_uri = Text(
        max_length=1000, required=False, help_text="The one of the flow; the server has a list of those it allows."
    )

    def validate(self, attrs: dict[str, str]) -> dict[str, str]:
        provider = offered().get(attrs["provider"])
        if provider is None:
            raise fault("provider", "unknown_provider", "This server does not offer that provider.")
        if provider.provider == "apple" and provider.exchanges and {"id_token", "code"} <= set(attrs):
            return attrs
        given = [kind for kind in ("id_token", "access_token", "code") if kind in attrs]
        for kind in given:
            if kind not in provider.kinds:
                raise fault(kind, "unsupported_credential", "This server does not take that from this provider.")
        if len(given) != (1 if provider.kinds else 0):
            raise serializers.ValidationError(f"Send one of {', '.join(provider.kinds)}.", "one_credential")
        if given == ["code"]:
            needed = ("code_verifier" if provider.pkce else "nonce", "redirect_uri")
            if missing := next((name for name in needed if name not in attrs), None):
                raise fault(missing, "required", "A code needs it.")
            if attrs["redirect_uri"] not in settings.LOGIN_REDIRECT_URIS:
                raise fault("redirect_uri", "unknown_redirect_uri", "This server does not allow that one.")
        return attrs


def fault(name: str, code: str, detail: str) -> serializers.ValidationError:
    return serializers.ValidationError({name: [serializers.ErrorDetail(detail, code)]})


class LoginSerializer(CredentialSerializer):
    device_name = text(
        max_length=100, required=False, default="", allow_blank=True, help_text="For the list of devices."
    )


class LinkSerializer(CredentialSerializer):
    def validate(self, attrs: dict[str, str]) -> dict[str, str]:
        if attrs["provider"] == "guest":
            raise fault("provider", "unknown_provider", "A guest is nobody that could be linked.")
        return super().validate(attrs)


class LoggedInSerializer(serializers.Serializer[login.LoggedIn]):
    user_id = serializers.CharField()
    auth_key = serializers.CharField(help_text="Send it as `Authorization: Bearer …`. It is shown this once.")
    session_id = serializers.CharField()
    expires_at = serializers.DateTimeField(help_text="Moves on as the session is used.")
    is_new = serializers.BooleanField()


class ProviderSerializer(serializers.Serializer[Public]):
    provider = serializers.CharField()
    display_name = serializers.CharField(help_text="What people call it, for a button.")
    kinds = serializers.ListField(child=serializers.CharField(), help_text="Credentials that it takes; a guest none.")
    client_ids = serializers.ListField(child=serializers.CharField())
    web_login = serializers.BooleanField()


class AccountSerializer(serializers.Serializer[services.Summary]):
    user_id = serializers.CharField()
    name = serializers.CharField()
    email = serializers.EmailField(allow_null=True)
    email_verified = serializers.BooleanField(allow_null=True)
    is_guest = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    used_bytes = serializers.IntegerField(help_text="Uploads under way and the trash included.")
    quota_bytes = serializers.IntegerField()
    expires_at = serializers.DateTimeField(allow_null=True, help_text="When an unused guest account goes; else null.")


class RenameAccountSerializer(StrictSerializer[dict[str, str]]):
    name = text(max_length=100, allow_blank=True)


class SessionSerializer(serializers.Serializer[services.Device]):
    session_id = serializers.CharField()
    device_name = serializers.CharField()
    created_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField(help_text="To the day.")
    expires_at = serializers.DateTimeField()
    current = serializers.BooleanField(help_text="Whether this is the session that asks.")


class SessionsSerializer(serializers.Serializer[dict[str, object]]):
    results = SessionSerializer(many=True)


class IdentitySerializer(serializers.Serializer[identities.Described]):
    id = serializers.CharField(help_text="Ours, stable; not the provider's.")
    provider = serializers.CharField()
    email = serializers.EmailField(allow_null=True, help_text="As the provider told it; nothing depends on it.")
    created_at = serializers.DateTimeField()


class NewSessionSerializer(serializers.Serializer[login.NewSession]):
    auth_key = serializers.CharField(help_text="Use it from now on. It is shown this once.")
    session_id = serializers.CharField()
    expires_at = serializers.DateTimeField(help_text="Moves on as the session is used.")


class LinkedSerializer(IdentitySerializer):
    session = NewSessionSerializer(
        allow_null=True,
        help_text="For who was a guest: the old key ends when this one is first used, at the latest in an hour.",
    )


class IdentitiesSerializer(serializers.Serializer[dict[str, object]]):
    results = IdentitySerializer(many=True)


class CreateFeedSerializer(StrictSerializer[dict[str, str]]):
    tag = text(max_length=50, required=False, help_text="Only recordings with this tag. Without: all.")
    title = text(max_length=100, required=False, help_text="What podcast apps call it. Defaults to the tag.")


class FeedSerializer(serializers.Serializer[feeds.Described]):
    id = serializers.CharField()
    tag = serializers.CharField(allow_null=True)
    title = serializers.CharField()
    created_at = serializers.DateTimeField()


class NewFeedSerializer(FeedSerializer):
    url = serializers.CharField(help_text="For the podcast app. It is shown this once.")


class FeedsSerializer(serializers.Serializer[dict[str, object]]):
    results = FeedSerializer(many=True)


class ExportQuery(StrictSerializer[dict[str, str]]):
    cursor = serializers.CharField(
        default="", allow_blank=True, max_length=1000, help_text="`next_cursor` of the page before."
    )


class ExportedIdentitySerializer(IdentitySerializer):
    subject = serializers.CharField(help_text="The provider's name for the person.")


class ExportedAccountSerializer(AccountSerializer):
    sessions = SessionSerializer(many=True)
    identities = ExportedIdentitySerializer(many=True)
    feeds = FeedSerializer(many=True)


class ExportedRecordingSerializer(DetailSerializer):
    download_url = serializers.CharField(allow_null=True, help_text="For some hours; null while it is uploading.")
    shares = ShareSerializer(many=True, help_text="Its links, without the links themselves, which nobody knows.")


class ExportSerializer(serializers.Serializer[export.Page]):
    account = ExportedAccountSerializer(allow_null=True, help_text="On the first page.")
    recordings = ExportedRecordingSerializer(many=True)
    next_cursor = serializers.CharField(allow_null=True, help_text="null on the last page.")
