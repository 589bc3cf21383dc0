"""What views say of themselves for the OpenAPI document, kept until somebody asks for one.

drf-spectacular's own decorator loads its generator, and with it Django's test client, where it stands: 60 ms of every
cold start. openapi.py hands everything to it when it makes the document.
"""

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T", bound=Callable[..., Any])

KEPT: list[tuple[Callable[..., Any], dict[str, Any]]] = []


def extend_schema(**options: Any) -> Callable[[T], T]:
    """drf-spectacular's `extend_schema`, later."""

    def keep(view: T) -> T:
        KEPT.append((view, options))
        return view

    return keep
