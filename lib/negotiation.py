"""Which form an answer takes (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence

from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from lib.problems import MEDIA_TYPE


class Negotiation(DefaultContentNegotiation):
    """JSON too for who asks for problems alone: generated clients do, where no other answer has a body."""

    def select_renderer(  # type: ignore[override]  # DRF's stubs want a suffix
        self, request: Request, renderers: Sequence[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        try:
            chosen: tuple[BaseRenderer, str] = super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            if not self.takes(request):
                raise
            return renderers[0], renderers[0].media_type
        return chosen

    def takes(self, request: Request) -> bool:
        return any(MEDIA_TYPE in kind for kind in self.get_accept_list(request))


class OfItsOwn(Negotiation):
    """For what answers with a file, or where to get it. Only its problems are JSON, whatever is accepted."""

    def takes(self, request: Request) -> bool:
        return True
