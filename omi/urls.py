"""The routes of the web process: those of the APIs, support pages, documentation, metrics and health."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from memories.mcp_server.view import mcp
from omi import health
from omi.accounts import staff_login
from omi.core import home, operators

READ = ["get", "head"]

urlpatterns = [
    path("", include("memories.api.urls")),
    path("", include("speakers.api.urls")),
    path("mcp", mcp),
    path("app", include("memories.pages.urls")),
    path("admin/login/", staff_login.login),
    path("admin/", admin.site.urls),
    path("schema", SpectacularAPIView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(url_name="schema", http_method_names=READ), name="docs"),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", operators.metrics),
    path("", home.page),
]

handler400 = "memories.api.errors.bad_request"
handler404 = "memories.api.errors.not_found"
handler500 = "memories.api.errors.server_error"
