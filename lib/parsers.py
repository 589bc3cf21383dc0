"""Request bodies: JSON within bounds, and raw bytes that a view reads itself."""

import json
from collections import Counter
from collections.abc import Mapping
from io import BytesIO
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.parsers import FormParser as DRFFormParser
from rest_framework.parsers import JSONParser as DRFJSONParser
from rest_framework.utils.json import strict_constant

from lib.problems import Problem, invalid, step

MAX_JSON_BYTES = 256 * 1024
JsonObject = dict[str, Any]  # somebody else's words, before anybody has looked at its members


class JSONParser(DRFJSONParser):
    """JSON within a bound, no field twice (RFC 8259, section 4), and an answer to nesting too deep for Python."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> JsonObject:
        data = read(stream)
        try:
            parsed: JsonObject = json.loads(data.decode(), parse_constant=strict_constant, object_pairs_hook=once)
        except RecursionError:
            raise ParseError("JSON parse error - nested too deeply") from None
        except ValueError as error:
            raise ParseError(f"JSON parse error - {error}") from None
        return parsed


class FormParser(DRFFormParser):
    """A form within the same bound."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        return super().parse(BytesIO(read(stream)), media_type, parser_context)


def read(stream: IO[Any]) -> bytes:
    """The body. Raises 413 where it is longer than any that a parser takes."""
    data: bytes = stream.read(MAX_JSON_BYTES + 1)
    if len(data) > MAX_JSON_BYTES:
        raise Problem(413, "too_large", f"Bodies are at most {MAX_JSON_BYTES} bytes long here.")
    return data


def once(pairs: list[tuple[str, Any]]) -> JsonObject:
    """The object that these members make. Raises 400 where one comes twice."""
    members = dict(pairs)
    if len(members) < len(pairs):
        name = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise invalid(step(name), "duplicate_field", "This field comes more than once.")
    return members


class RawParser(BaseParser):
    """Any media type; the view reads the stream."""

    media_type = "*/*"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, IO[Any]]:
        return {"body": stream}
