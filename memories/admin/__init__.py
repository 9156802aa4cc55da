"""The support console. Importing the modules registers their pages."""

from __future__ import annotations

from django.contrib import admin

from memories.admin import history_audit, memories, records, runs, usage

__all__ = ["history_audit", "memories", "records", "runs", "usage"]

admin.site.site_header = "Omi memory backend"
admin.site.site_title = "Omi support"
admin.site.index_title = "Support"
