"""Fields of JSON bodies, which take a value for what it is. DRF's own take 5 for "5", and "yes" for true.

Queries hold nothing but texts: there DRF's own are right.
"""

from typing import Any

from django.core.validators import RegexValidator
from rest_framework import serializers

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
