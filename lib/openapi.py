"""What the OpenAPI document says beyond what the views say: the key, and the problems that any call may answer.

Loaded only when a document is made.
"""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import is_list_serializer
from drf_spectacular.utils import extend_schema
from rest_framework.settings import api_settings

from lib.documented import KEPT

PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details. `code` is stable and made for programs.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "request_id": {"type": "string", "description": "Names this request in the server's log."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "pointer": {"type": "string", "description": "A JSON pointer (RFC 6901) to the field."},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
                "required": ["pointer", "code", "detail"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "code", "request_id"],
}


class AuthKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "accounts.authentication.AuthKeyAuthentication"
    name = "auth_key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "The `auth_key` that signing in answered."}


class Strict(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """A misspelt field is an error, and the document says so."""

    target_class = "lib.fields.StrictSerializer"
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> Any:
        return auto_schema._map_serializer(self.target, direction, bypass_extensions=True) | {
            "additionalProperties": False
        }


class Schema(AutoSchema):
    def _is_list_view(self, serializer: Any = None) -> bool:
        """By its name a `list` answers an array; here most answer an object with `results`, and say so."""
        true_to_its_name = serializer is None or is_list_serializer(serializer)
        return true_to_its_name and bool(super()._is_list_view(serializer))


class Generator(SchemaGenerator):
    def get_schema(self, *args: Any, **kwargs: Any) -> Any:
        """The document, with a problem as the default answer of each operation."""
        api_settings.DEFAULT_SCHEMA_CLASS = Schema  # type: ignore[assignment]
        while KEPT:
            view, options = KEPT.pop()
            extend_schema(**options)(view)
        document = super().get_schema(*args, **kwargs)  # type: ignore[no-untyped-call]
        document["components"]["schemas"]["Problem"] = PROBLEM
        reference = {"$ref": "#/components/schemas/Problem"}
        answer = {"description": "A problem", "content": {"application/problem+json": {"schema": reference}}}
        for path in document["paths"].values():
            for operation in path.values():
                operation["responses"]["default"] = answer
                if operation["operationId"].endswith("_upload_update"):
                    operation["requestBody"]["required"] = True  # bytes, where nothing says so
        return document
