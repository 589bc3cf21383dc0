"""Request bodies: JSON within bounds, and raw bytes that a view reads itself."""

import io
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.parsers import JSONParser as DRFJSONParser

from recorder_project.problems import Problem

MAX_JSON_BYTES = 256 * 1024


class JSONParser(DRFJSONParser):
    """DRF's parser with a bound on size, and with an answer to nesting that is too deep for Python's own."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        data = stream.read(MAX_JSON_BYTES + 1)
        if len(data) > MAX_JSON_BYTES:
            raise Problem(413, "too_large", f"JSON bodies are at most {MAX_JSON_BYTES} bytes long.")
        try:
            return super().parse(io.BytesIO(data), media_type, parser_context)
        except RecursionError:
            raise ParseError("JSON parse error - nested too deeply") from None


class RawParser(BaseParser):
    """Any media type; the view reads the stream."""

    media_type = "*/*"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        return {"body": stream}
