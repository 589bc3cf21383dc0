"""Shapes of what shares take and give. No I/O."""

import datetime
import time
from typing import Any, TypedDict

from rest_framework import serializers

from lib.clock import stamp
from lib.fields import Flag, Moment, Number, StrictSerializer, Text
from lib.secrets import new_password
from recordings.models import Share
from recordings.shares.links import Wanted

DEFAULT_DAYS = 7
SKEW = datetime.timedelta(minutes=5)  # by which a caller's clock may be ahead
DAY = datetime.timedelta(days=1)
LONGEST = 3 * 3600  # seconds of an excerpt


def is_long(expires_at: int) -> bool:
    """Whether such a share would outlive the day."""
    return expires_at > time.time() + (DAY + SKEW).total_seconds()


def year_from(moment: datetime.datetime) -> datetime.datetime:
    """The same day next year; after 29 February, 1 March."""
    try:
        return moment.replace(year=moment.year + 1)
    except ValueError:
        return moment.replace(year=moment.year + 1, month=3, day=1)


class Seconds(Number):
    """A moment in a recording, to the millisecond."""

    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=0, max_value=10**7, **options)

    def to_internal_value(self, data: Any) -> float:
        return round(super().to_internal_value(data), 3)


def error(field: str, code: str, detail: str) -> serializers.ValidationError:
    return serializers.ValidationError({field: [serializers.ErrorDetail(detail, code)]})


class ShareCreateSerializer(StrictSerializer[Wanted]):
    expires_at = Moment(required=False, help_text="At most a year from now. Defaults to 7 days from now.")
    password = Text(
        min_length=8, max_length=128, trim_whitespace=False, required=False, help_text="Asked for before listening."
    )
    generate_password = Flag(
        default=False, help_text="Have a password made, of 8 characters that look like no others: see `password`."
    )
    at = Seconds(required=False, help_text="Where playing starts: seconds of the recording, also in an excerpt.")
    start = Seconds(required=False, help_text="With `end`: only this part of the recording, at most 3 hours of it.")
    end = Seconds(required=False)

    def validate_expires_at(self, value: str) -> int:
        """Seconds since 1970."""
        moment, current = datetime.datetime.fromisoformat(value), datetime.datetime.now(datetime.UTC)
        if moment <= current:
            raise serializers.ValidationError("This is over.", "in_the_past")
        if moment > year_from(current) + SKEW:
            raise serializers.ValidationError("A share lives for at most a year.", "too_late")
        return int(moment.timestamp())

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs["made_here"] = attrs.pop("generate_password")
        if attrs["made_here"]:
            if "password" in attrs:
                raise error("password", "exclusive", "Either this or `generate_password`.")
            attrs["password"] = new_password()
        attrs.setdefault("expires_at", int(datetime.datetime.now(datetime.UTC).timestamp()) + DEFAULT_DAYS * 86400)
        start, end, at = (attrs.get(name) for name in ("start", "end", "at"))
        if start is None and end is None:
            return attrs
        for name, value in (("start", start), ("end", end)):
            if value is None:
                raise error(name, "required", "An excerpt has a start and an end.")
        assert start is not None  # noqa: S101 - for mypy
        assert end is not None  # noqa: S101
        if end <= start:
            raise error("end", "before_start", "It is not after `start`.")
        if end - start > LONGEST:
            raise error("end", "too_long", "An excerpt is at most 3 hours long.")
        if at is not None and not start <= at < end:
            raise error("at", "outside", "It is not within the excerpt.")
        return attrs


class Shown(TypedDict):
    """What its owner sees of a share."""

    id: str
    created_at: str
    expires_at: str
    has_password: bool
    at: float | None
    start: float | None
    end: float | None
    status: str


class ShareSerializer(serializers.Serializer[Shown]):
    id = serializers.CharField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    has_password = serializers.BooleanField()
    at = serializers.FloatField(allow_null=True, help_text="Where playing starts: seconds of the recording.")
    start = serializers.FloatField(allow_null=True, help_text="Seconds; null: all of the recording.")
    end = serializers.FloatField(allow_null=True)
    status = serializers.ChoiceField(
        ["ready", "preparing", "failed"],
        help_text="preparing: the excerpt is being cut. failed: this recording can't be decoded.",
    )


class NewShareSerializer(ShareSerializer):
    url = serializers.CharField(help_text="The link. It is given here only: Recorder keeps nothing but its hash.")
    password = serializers.CharField(
        allow_null=True, help_text="The password that was made, if one was asked for. It is given here only, too."
    )


class SharesSerializer(serializers.Serializer[dict[str, list[Shown]]]):
    results = ShareSerializer(many=True)


def share(row: Share) -> Shown:
    expires_at = stamp(datetime.datetime.fromtimestamp(row.expires_at, datetime.UTC))
    return {
        "id": row.public_id,
        "created_at": row.created_at,
        "expires_at": expires_at,
        "has_password": bool(row.password),
        "at": row.at,
        "start": row.start,
        "end": row.end,
        "status": row.status,
    }
