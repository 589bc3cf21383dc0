import re
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import services
from accounts.models import Account, Session


class Command(BaseCommand):
    help = "Show one account to an operator; set its quota, sign it out everywhere, or close it for good."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", help="the user id: the part of an auth_key before the dot")
        parser.add_argument("--quota", type=int, metavar="BYTES", help="its own quota from now on")
        parser.add_argument("--sign-out", action="store_true", help="end all its sessions")
        parser.add_argument("--close", action="store_true", help="close it and remove everything it holds")

    def handle(self, *args: Any, **options: Any) -> None:
        user_id, quota = options["id"], options["quota"]
        account = Account.of(user_id) if re.fullmatch("[0-9a-f]{32}", user_id) else None
        if account is None:
            raise CommandError("There is no such account.")
        if account.closed_at and not options["close"]:
            raise CommandError(f"It was closed at {account.closed_at}; the sweep removes what is left.")
        if quota is not None:
            if quota < 1:
                raise CommandError("--quota is a number of bytes above 0.")
            services.set_quota(user_id, quota)
        if options["sign_out"]:
            for session in Session.all_of(user_id):
                services.end(session)
        if options["close"]:
            services.close(user_id)
            self.stdout.write(f"{user_id} is closed; what this run could not remove, the sweep will.")
            return
        for name, value in services.summarize(user_id).items():
            self.stdout.write(f"{name}: {value}")
