"""Django's admin app, pointed at the site of the support console."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class ConsoleAdminConfig(AdminConfig):
    """Django's admin with the project's own site."""

    default_site = "memories.console.site.ConsoleSite"
