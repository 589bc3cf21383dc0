"""How many recordings fit into one answer. Lambda's is at most 6 MB, and what escapes add counts."""

from recordings.models import Recording

MOST_BYTES = 5_000_000
ESCAPED = 14  # bytes that a character may need: two surrogates, escaped in JSON within JSON
REST = 2000  # all that is no text of the caller's: ids, times, numbers, names of members


def weight(row: Recording) -> int:
    """The bytes that a recording may take in a list at most."""
    return ESCAPED * sum(map(len, (row.name, row.notes, row.content_type, *row.tags))) + REST
