"""Every route, on one screen."""

from django.urls import include, path, re_path
from rest_framework.routers import Route, SimpleRouter

from accounts.views import AccountsViewSet, FeedViewSet, IdentityViewSet, KakaoView, MeView, SessionViewSet
from lib import problems
from recordings.shares.views import ShareViewSet
from recordings.views import RecordingViewSet
from web import feeds, shares, signin
from web import views as web
from web.uppy import GrantView, S3View


class Router(SimpleRouter):
    """DRF's router, with DELETE on a list: `?scope=others` of sessions, `?shelf=trash` of recordings."""

    routes = [  # noqa: RUF012 - DRF declares it as an instance variable
        Route(
            url=r"^{prefix}{trailing_slash}$",
            mapping={"get": "list", "post": "create", "delete": "destroy_many"},
            name="{basename}-list",
            detail=False,
            initkwargs={},
        ),
        *SimpleRouter.routes[1:],
    ]


router = Router()
router.register("accounts/feeds", FeedViewSet, basename="feed")
router.register("accounts/identities", IdentityViewSet, basename="identity")
router.register("accounts/sessions", SessionViewSet, basename="session")
router.register("accounts", AccountsViewSet, basename="account")
router.register("recordings", RecordingViewSet, basename="recording")
router.register(r"recordings/(?P<id>[^/]+)/shares", ShareViewSet, basename="share")

urlpatterns = [
    path("", web.home),
    path("login/", web.login),
    path("login/<slug:name>/", signin.start),
    path("login/<slug:name>/callback/", signin.callback),
    path("logout/", web.logout),
    path("health/", web.health),
    path("s/<str:token>", shares.player),
    path("s/<str:token>/audio", shares.audio),
    path("s/<str:token>/download", shares.download),
    path("sw.js", web.service_worker),
    path("api/v1/accounts/me/", MeView.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"})),
    path("api/v1/accounts/me/export/", MeView.as_view({"get": "export"})),
    path("api/v1/accounts/kakao/unlink/", KakaoView.as_view({"get": "unlinked", "post": "unlinked"})),
    path("api/v1/schema/", web.schema, name="schema"),
    path("api/v1/docs/", web.docs),
    path("api/v1/recordings/uppy/", GrantView.as_view({"post": "create"})),
    path("api/v1/", include(router.urls)),
    path("uppy/<str:grant>/s3/params", S3View.as_view({"get": "params"})),
    path("uppy/<str:grant>/s3/multipart", S3View.as_view({"post": "begin"})),
    path("uppy/<str:grant>/s3/multipart/<str:upload_id>", S3View.as_view({"get": "received", "delete": "abort"})),
    path("uppy/<str:grant>/s3/multipart/<str:upload_id>/batch", S3View.as_view({"get": "sign_many"})),
    path("uppy/<str:grant>/s3/multipart/<str:upload_id>/complete", S3View.as_view({"post": "complete"})),
    path("uppy/<str:grant>/s3/multipart/<str:upload_id>/<int:number>", S3View.as_view({"get": "sign"})),
    path("feed/<str:token>.xml", feeds.feed),
    path("feed/<str:token>/<str:id>/audio.<str:extension>", feeds.audio),
    path("feed/<str:token>/<str:id>/chapters.json", feeds.chapter_list),
    re_path(r"^(?:api|uppy)/", problems.unknown_path),
]
