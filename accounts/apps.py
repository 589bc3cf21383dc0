from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        """Hand the sweep, which knows no accounts, the work that only this package can do."""
        from accounts.services import finish_closing, finish_revoking
        from recordings.sweeping import WORK

        WORK["account"] = finish_closing
        WORK["revoke"] = finish_revoking
