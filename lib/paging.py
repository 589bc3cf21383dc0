"""Opaque cursors: signed, and bound to one account and one list."""

import json
from typing import Any

from django.core import signing

from lib.problems import invalid


def dump_cursor(position: Any, *binding: str) -> str:
    """A cursor for `position` (anything JSON can say) that only a list with the same `binding` will take."""
    return signing.dumps(position, salt=_salt(binding), compress=True)


def _salt(binding: tuple[str, ...]) -> str:
    """Not joined by a character: one that the words may hold would let two bindings look the same."""
    return json.dumps(["cursor", *binding])


def load_cursor(cursor: str, *binding: str) -> Any:
    """The position in `cursor`. Raises 400 for one of another account or list, or one that was tampered with."""
    try:
        return signing.loads(cursor, salt=_salt(binding))
    except (signing.BadSignature, ValueError):
        raise invalid("/cursor", "invalid_cursor", "This cursor does not belong to this list.") from None
