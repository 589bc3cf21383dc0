"""Everything that is stored about an account, for its owner to take along."""

from typing import Any

from accounts import feeds
from accounts.models import Account, Session
from accounts.services import describe, identities_of, sessions
from recorder_project.paging import dump_cursor, load_cursor
from recordings.export import export_page


def page(session: Session, cursor: str) -> dict[str, Any]:
    """One page of everything that is stored about the account. The first one holds the account itself."""
    binding = (session.id, "export")
    after = load_cursor(cursor, *binding) if cursor else 0
    recordings, after_this = export_page(session.id, after)
    return {
        "account": None if cursor else describe_fully(session),
        "recordings": recordings,
        "next_cursor": dump_cursor(after_this, *binding) if after_this else None,
    }


def describe_fully(session: Session) -> dict[str, Any]:
    account = Account.of(session.id)
    rows = identities_of(account) if account else []
    return describe(session) | {
        "sessions": sessions(session),
        "identities": [
            {
                "id": row.identity_id,
                "provider": row.provider,
                "subject": row.subject,
                "email": row.email,
                "created_at": row.created_at,
            }
            for row in rows
        ],
        "feeds": feeds.listed(session.id),
    }
