"""What serializers of input are made of. No I/O.

Fields of JSON bodies take a value for what it is; DRF's own take 5 for "5", and "yes" for true. Queries hold nothing
but texts: there DRF's own are right.
"""

import re
from collections.abc import Mapping
from datetime import UTC
from functools import cache
from typing import Any, TypeVar, cast

from django.core.validators import RegexValidator
from rest_framework import serializers

from lib.clock import stamp
from lib.problems import MOST_ERRORS

ReadT = TypeVar("ReadT")  # what the input of a serializer is once it is valid
one_line = RegexValidator(r"^[^\x00-\x1f\x7f-\x9f]*\Z", "Control characters are not allowed.", "control_character")


class Text(serializers.CharField):
    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Form(Text, serializers.RegexField):
    """A text of a certain form. It is kept as it came, spaces and all."""

    def __init__(self, regex: str, **options: Any) -> None:
        super().__init__(regex, trim_whitespace=False, **options)


class Whole(serializers.IntegerField):
    """A number without a fraction: 1.0 is one too."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, str | bool):
            self.fail("invalid")
        return super().to_internal_value(data)


class Number(serializers.FloatField):
    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, str | bool):
            self.fail("invalid")
        return super().to_internal_value(data)


class Flag(serializers.BooleanField):
    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Several(serializers.ListField):
    """A list that is refused by its length before anybody looks into it: DRF says of each item what is wrong with it,
    which made 20 MB and 20 seconds of a body of 256 KB.
    """

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        return super().to_internal_value(data)


NAME = {"type": "string", "maxLength": 255, "pattern": r"^[^\u0000-\u001f\u007f-\u009f]+$"}  # in a path
SHA256 = r"^[0-9a-f]{64}\Z"
# Whatever ends in +xml is a document to browsers, scripts and all (https://mimesniff.spec.whatwg.org/#xml-mime-type).
# A playlist names files of other servers, to which whoever plays it would be sent. Whatever a list of them leaves out
# is never given out under its own type: see kinds.served.
CONTENT_TYPES = ("audio/*", "video/mp4", "video/webm", "application/ogg")
PLAYLIST = r"mpe[gq]-?url|m3u|pls\b|asx|wax|wvx|wmx|xspf|smil|playlist|pn-realaudio|-ram\b"
CONTENT_TYPE = re.compile(
    rf"""(?:audio/(?![^;]*(?:{PLAYLIST})) [a-z0-9][a-z0-9!#$&^_.+-]*(?<!\+xml)
        |video/mp4|video/webm|application/ogg)
        (?:[ ]*;[ ]*[a-z0-9-]+=(?:[a-z0-9!#$&'^_.,+-]+|"[a-z0-9 ,.;=+-]*"))*  # parameters, as browsers write them
    """,
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)


class StrictSerializer(serializers.Serializer[ReadT]):
    """Input that may hold only what is declared: a misspelt field is an error and not ignored."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping) and (unknown := [name for name in data if name not in self.fields]):
            error = serializers.ErrorDetail("There is no such field.", "unknown_field")
            raise serializers.ValidationError({name: [error] for name in unknown[:MOST_ERRORS]})
        return super().to_internal_value(data)

    @classmethod
    def read(cls, data: Any, *, partial: bool = False) -> ReadT:
        """The valid input. Raises a 400 Problem that points to each field that is not."""
        return cast("ReadT", dict(_reader(cls, partial).run_validation(data)))


@cache
def _reader(kind: type[StrictSerializer[Any]], partial: bool) -> StrictSerializer[Any]:
    """One for all requests: DRF copies every field for each that it makes, which was a tenth of a sign-up."""
    return kind(partial=partial)


def text(*, max_length: int, **options: Any) -> Text:
    """One line of text in any script, counted in characters."""
    return Text(max_length=max_length, validators=[one_line], **options)


def acceptable_type(value: str) -> None:
    if not CONTENT_TYPE.fullmatch(value):
        raise serializers.ValidationError(
            "Only audio/* except playlists, video/mp4, video/webm and application/ogg are kept here.", "content_type"
        )


def content_type() -> Text:
    return Text(max_length=255, validators=[acceptable_type])


def sha256(**options: Any) -> Form:
    return Form(SHA256, help_text="Lowercase hex.", **options)


class Moment(serializers.DateTimeField):
    """A time in, in any offset (none means UTC); a text in the tables' form out."""

    def __init__(self, **options: Any) -> None:
        super().__init__(default_timezone=UTC, **options)

    def to_internal_value(self, value: Any) -> str:  # type: ignore[override]
        try:
            return stamp(super().to_internal_value(value))
        except (OverflowError, ValueError):
            self.fail("overflow")


class Tags(Several):
    """Kept in order, without repeats."""

    child = text(max_length=50)

    def to_internal_value(self, data: Any) -> list[str]:
        return list(dict.fromkeys(super().to_internal_value(data)))


def tags(**options: Any) -> Tags:
    return Tags(max_length=20, required=False, **options)


def notes(**options: Any) -> Text:
    return Text(max_length=4000, allow_blank=True, trim_whitespace=False, required=False, **options)
