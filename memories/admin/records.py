"""Other rows that help to find out what happened: conversations, events, callbacks, erasures."""

from __future__ import annotations

from django.contrib import admin

from memories.models import ErasureReceipt, ProcessingMemoryRow, UserEvent, VendorCallback
from omi.core.readonly_admin import ReadOnlyAdmin
from omi.stores.models import DamagedDocument


@admin.register(ProcessingMemoryRow)
class ProcessingMemoryAdmin(ReadOnlyAdmin):
    """The list of conversations that go on, or went on."""

    list_display = ["processing_memory_id", "uid", "device_id", "created_at", "finished", "segments", "memory_id"]
    list_filter = ["finished", "created_at"]
    search_fields = ["uid", "processing_memory_id", "memory_id"]


@admin.register(DamagedDocument)
class DamagedDocumentAdmin(ReadOnlyAdmin):
    """What could not be read. A row goes by itself, within minutes, when its document is repaired or erased."""

    list_display = ["path", "reason", "first_seen", "last_seen"]
    list_filter = ["reason", "last_seen"]
    search_fields = ["path"]
    ordering = ["-last_seen"]


@admin.register(UserEvent)
class UserEventAdmin(ReadOnlyAdmin):
    """The list of events that users' apps were told."""

    list_display = ["uid", "number", "type", "memory_id", "created_at"]
    list_filter = ["type", "created_at"]
    search_fields = ["uid", "memory_id"]


@admin.register(VendorCallback)
class VendorCallbackAdmin(ReadOnlyAdmin):
    """The list of callbacks from vendors."""

    list_display = ["vendor", "callback_id", "received_at", "runs"]
    list_filter = ["vendor", "received_at"]
    search_fields = ["callback_id"]


@admin.register(ErasureReceipt)
class ErasureReceiptAdmin(ReadOnlyAdmin):
    """The list of erasures and whether they reached every store."""

    list_display = ["subject", "kind", "complete", "started_at", "finished_at"]
    list_filter = ["kind", "complete", "started_at"]
    search_fields = ["subject"]
