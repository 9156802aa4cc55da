"""Who uses how much of what is shared: the days of each user, the heaviest first."""

from __future__ import annotations

from django.contrib import admin

from memories.pipeline.models import DailyUse
from omi.core.readonly_admin import ReadOnlyAdmin


@admin.register(DailyUse)
class DailyUseAdmin(ReadOnlyAdmin):
    """The list of what each user has used by day."""

    list_display = ["day", "uid", "kind", "amount"]
    list_filter = ["kind", "day"]
    search_fields = ["uid"]
    ordering = ["-day", "kind", "-amount"]
