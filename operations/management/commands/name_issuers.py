from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from accounts.identities import name_issuer
from accounts.models import Identity
from accounts.providers.table import TABLE


class Command(BaseCommand):
    help = (
        "Store under today's issuer each login of an OIDC_<NAME> provider that is still stored under that name: once, "
        "after the upgrade that CHANGELOG.md names. Safe to repeat."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        moved, left = 0, dict.fromkeys(settings.OIDC_ISSUERS, 0)
        for row in Identity.scan(Identity.auth_key == "identity"):
            if row.named or row.provider in TABLE:
                continue
            if row.provider in settings.OIDC_ISSUERS and name_issuer(row):
                moved += 1
            else:
                left[row.provider] = left.get(row.provider, 0) + 1
        self.stdout.write(f"{moved} moved.")
        for name, count in left.items():
            if count:
                self.stdout.write(
                    f"{count} of {name} left: OIDC_{name.upper()}_ISSUER is not set, or no account has it."
                )
