"""Opaque cursors: signed, and bound to one account and one list."""

from typing import Any

from django.core import signing

from recorder_project.problems import invalid


def dump_cursor(position: Any, *binding: str) -> str:
    """A cursor for `position` (anything JSON can say) that only a list with the same `binding` will take."""
    return signing.dumps(position, salt="|".join(("cursor", *binding)), compress=True)


def load_cursor(cursor: str, *binding: str) -> Any:
    """The position in `cursor`. Raises 400 for one of another account or list, or one that was tampered with."""
    try:
        return signing.loads(cursor, salt="|".join(("cursor", *binding)))
    except (signing.BadSignature, ValueError):
        raise invalid("/cursor", "invalid_cursor", "This cursor does not belong to this list.") from None
