import datetime
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from aws.dynamo import Conflict
from lib.clock import stamp
from lib.problems import Problem
from operations.restore.accounts import carry_over
from operations.restore.recordings import Carried


class Command(BaseCommand):
    help = (
        "After a restore: carry over from the old tables what was purged, closed, signed out, unlinked, revoked or "
        "deleted since the moment that the tables came back from. Safe to repeat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--users", metavar="TABLE", required=True, help="the old table of users")
        parser.add_argument("--changes", metavar="TABLE", required=True, help="the old table of changes")
        parser.add_argument("--moment", required=True, help="that the tables came back from: 2026-11-24T09:00:00Z")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, do nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            moment = datetime.datetime.fromisoformat(options["moment"])
        except ValueError as error:
            raise CommandError("--moment is a time like 2026-11-24T09:00:00Z.") from error
        if moment.tzinfo is None:
            raise CommandError("--moment needs its time zone: a Z at its end for UTC.")
        failed = 0
        tables = {"users_table": options["users"], "changes_table": options["changes"]}
        for found in carry_over(**tables, moment=stamp(moment)):
            outcome = "" if options["dry_run"] else do(found)
            failed += outcome != "" or found.act is None
            self.stdout.write(f"{found.kind} {found.account}/{found.id}".rstrip("/") + outcome)
        if failed:
            sys.exit(1)


def do(found: Carried) -> str:
    """What went wrong, "" for nothing."""
    if found.act is None:
        return ": not in the old table, and its objects are there: close it by hand if its owner did"
    try:
        found.act()
    except (Conflict, Problem) as error:
        return "" if getattr(error, "status_code", 0) in (401, 404) else f": not now, {error}; run it again"
    return ""
