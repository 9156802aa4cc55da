"""The support console. Importing the modules registers their pages."""

from __future__ import annotations

from django.contrib import admin

from memories.admin import memories, records, runs, usage, voice_audit

__all__ = ["memories", "records", "runs", "usage", "voice_audit"]

admin.site.site_header = "Omi memory backend"
admin.site.site_title = "Omi support"
admin.site.index_title = "Support"
