"""Every row of the app ``memories``: the mirror of the documents, receipts, the event log, and webhooks."""

from __future__ import annotations

from memories.mirror.models import (
    ErasureReceipt,
    MemoryRow,
    MirrorProgress,
    MirrorSample,
    PersonRow,
    ProcessingMemoryRow,
    SessionRow,
)
from memories.search.models import SearchPerson, SearchTerms, SearchWord
from memories.user_events.models import EventCounter, UserEvent, VendorCallback
from memories.webhooks.models import Webhook, WebhookDelivery

__all__ = [
    "ErasureReceipt",
    "EventCounter",
    "MemoryRow",
    "MirrorProgress",
    "MirrorSample",
    "PersonRow",
    "ProcessingMemoryRow",
    "SearchPerson",
    "SearchTerms",
    "SearchWord",
    "SessionRow",
    "UserEvent",
    "VendorCallback",
    "Webhook",
    "WebhookDelivery",
]
