"""Everything that is stored about an account, for its owner to take along."""

from typing import TypedDict

from accounts import feeds, identities
from accounts.models import Session
from accounts.services import Device, Me, account_of, describe, identities_of, sessions
from lib.paging import dump_cursor, load_cursor
from recordings.changes.export import ExportedRecording, export_page


class ExportedIdentity(identities.Described):
    subject: str


class ExportedAccount(Me):
    sessions: list[Device]
    identities: list[ExportedIdentity]
    feeds: list[feeds.Described]


class Page(TypedDict):
    account: ExportedAccount | None
    recordings: list[ExportedRecording]
    next_cursor: str | None


def page(session: Session, cursor: str) -> Page:
    """One page of everything that is stored about the account. The first one holds the account itself."""
    binding = (session.id, "export")
    after = load_cursor(cursor, *binding) if cursor else 0
    recordings, after_this = export_page(session.id, after)
    return {
        "account": None if cursor else describe_fully(session),
        "recordings": recordings,
        "next_cursor": dump_cursor(after_this, *binding) if after_this else None,
    }


def describe_fully(session: Session) -> ExportedAccount:
    account = account_of(session.id)
    return {
        **describe(session),
        "sessions": sessions(session),
        "identities": [{**identities.describe(row), "subject": row.subject} for row in identities_of(account)],
        "feeds": feeds.described(account),
    }
