"""The login providers that this server offers. One entry a provider; a provider that is not configured is off."""

from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True)
class Provider:
    """`kinds` names the credentials that it takes; a guest needs none."""

    provider: str
    kinds: tuple[str, ...] = ()
    client_ids: tuple[str, ...] = ()
    web_login: bool = False


def offered() -> dict[str, Provider]:
    """The providers that are on, by name."""
    guest = [Provider("guest")] if settings.GUEST_LOGIN else []
    return {provider.provider: provider for provider in guest}
