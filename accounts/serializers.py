"""Shapes of what accounts take and give."""

from rest_framework import serializers

from recordings.serializers import StrictSerializer, text


class LoginSerializer(StrictSerializer):
    provider = serializers.CharField(help_text="One of those that `accounts/providers/` lists.")
    device_name = text(
        max_length=100, required=False, default="", allow_blank=True, help_text="For the list of devices."
    )


class LoggedInSerializer(serializers.Serializer[dict[str, object]]):
    user_id = serializers.CharField()
    auth_key = serializers.CharField(help_text="Send it as `Authorization: Bearer …`. It is shown this once.")
    session_id = serializers.CharField()
    expires_at = serializers.DateTimeField(help_text="Moves on as the session is used.")
    is_new = serializers.BooleanField()


class ProviderSerializer(serializers.Serializer[dict[str, object]]):
    provider = serializers.CharField()
    kinds = serializers.ListField(child=serializers.CharField(), help_text="Credentials that it takes; a guest none.")
    client_ids = serializers.ListField(child=serializers.CharField())
    web_login = serializers.BooleanField()


class AccountSerializer(serializers.Serializer[dict[str, object]]):
    user_id = serializers.CharField()
    name = serializers.CharField()
    email = serializers.EmailField(allow_null=True)
    email_verified = serializers.BooleanField(allow_null=True)
    is_guest = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    used_bytes = serializers.IntegerField(help_text="Uploads under way and the trash included.")
    quota_bytes = serializers.IntegerField()
    expires_at = serializers.DateTimeField(allow_null=True, help_text="When an unused guest account goes; else null.")


class RenameAccountSerializer(StrictSerializer):
    name = text(max_length=100, allow_blank=True)


class SessionSerializer(serializers.Serializer[dict[str, object]]):
    session_id = serializers.CharField()
    device_name = serializers.CharField()
    created_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField(help_text="To the day.")
    expires_at = serializers.DateTimeField()
    current = serializers.BooleanField(help_text="Whether this is the session that asks.")


class SessionsSerializer(serializers.Serializer[dict[str, object]]):
    results = SessionSerializer(many=True)
