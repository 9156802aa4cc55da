"""Every row of the app ``memories``: the mirror of the documents, receipts, and the event log."""

from __future__ import annotations

from memories.event_models import EventCounter, UserEvent, VendorCallback
from memories.mirror_models import (
    ErasureReceipt,
    MemoryRow,
    MirrorProgress,
    MirrorSample,
    PersonRow,
    ProcessingMemoryRow,
)
from memories.search_models import SearchPerson, SearchTerms, SearchWord

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
    "UserEvent",
    "VendorCallback",
]
