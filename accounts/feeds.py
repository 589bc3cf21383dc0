"""Private podcast feeds: addresses under which podcast apps, which can't sign in, get an account's recordings.

Whoever has a feed's token can listen. It is shown once; what is stored is its hash, which is the feed's id.
"""

import uuid
from collections.abc import Collection
from typing import TypedDict

from accounts.models import Account, Feed, Session
from accounts.services import account_of, end_sessions, require_living
from accounts.transactions import close_feed, open_feed
from aws.dynamo import Conflict
from aws.retry import retry_on_conflict
from lib.problems import Problem, not_found
from lib.secrets import TOKEN, hashed, new_token
from recordings.keys import UserId

MOST = 10  # feeds an account
# Of podcast:guid: https://podcasting2.org/docs/podcast-namespace/tags/guid
NAMESPACE = uuid.UUID("ead4c236-bf58-58c6-a2c6-a6b28d128cb6")


class Described(TypedDict):
    id: str
    tag: str | None
    title: str
    created_at: str


class New(Described):
    url: str


def listed(user_id: UserId) -> list[Described]:
    """The account's feeds, the oldest first. One GetItem, and one BatchGetItem where there are any."""
    return described(account_of(user_id))


def described(account: Account) -> list[Described]:
    rows = Feed.batch(account.feeds).values()
    return [describe(row) for row in sorted(rows, key=lambda row: row.created_at)]


def describe(row: Feed) -> Described:
    return {"id": row.public_id, "tag": row.tag, "title": row.title, "created_at": row.created_at}


def create(session: Session, *, origin: str, tag: str | None, title: str | None) -> New:
    """A new feed of all recordings, or of those with a tag, with its `url`. Raises 409 `too_many_feeds`."""
    token = new_token()
    url = address(origin, token)
    row = Feed.bare(
        hashed(token),
        user_id=session.id,
        made_by=session.auth_key,
        tag=tag,
        title=title or tag or "Recorder",
        guid=str(uuid.uuid5(NAMESPACE, url.partition("://")[2])),
    )
    insert(session, row)
    return {**describe(row), "url": url}


@retry_on_conflict
def insert(session: Session, row: Feed) -> None:
    account = account_of(session.id)
    if len(account.feeds) >= MOST:
        raise Problem(409, "too_many_feeds", f"An account has at most {MOST} feeds. Close one of them first.")
    try:
        open_feed(account, row)
    except Conflict:
        require_living(session)
        raise


def address(origin: str, token: str) -> str:
    return f"{origin}/feed/{token}.xml"


@retry_on_conflict
def close(user_id: UserId, feed_id: str, *, missing_ok: bool = False) -> None:
    """End a feed: from the answer on, its address is worth nothing. Raises 404 where the account has no such feed."""
    account = account_of(user_id)
    if feed_id in account.feeds:
        close_feed(account, feed_id)
    elif not missing_ok:
        raise not_found()


def sign_out_others(session: Session) -> None:
    """Sign out every device but this one, and close the feeds that the others have made: their addresses would outlive
    what made them. Once a session has ended it makes none any more.
    """
    others = {each.auth_key for each in Session.all_of(session.id)} - {session.auth_key}
    close_made_by(session.id, others)  # first: should this fail half-way, it can be repeated
    end_sessions(session.id, but=session.auth_key)
    close_made_by(session.id, others)


def close_made_by(user_id: UserId, session_ids: Collection[str]) -> None:
    account = Account.of(user_id)
    rows = Feed.batch(account.feeds).values() if account and account.feeds and session_ids else []
    for row in rows:
        if row.made_by in session_ids:
            close(user_id, row.public_id, missing_ok=True)


def find(token: str) -> Feed:
    """The feed with this token. Raises 404 alike for one that never was, was closed, or went with its account, and for
    one that the account does not list, as after a restore: its owner could neither see nor close it. Two GetItem.
    """
    row = Feed.of(hashed(token)) if TOKEN.fullmatch(token) else None
    account = Account.of(row.user_id) if row else None
    if row is None or account is None or account.closed_at or row.public_id not in account.feeds:
        raise not_found()
    return row
