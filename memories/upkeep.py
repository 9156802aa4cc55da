"""What Django-Q2 calls for the stores: unfinished erasures, a sample of the mirror, rows that are too old to matter."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta

import structlog
from django.utils import timezone

from memories.feedback import reports
from memories.insights import figures
from memories.links import shared as links
from memories.mirror import compare
from memories.models import MemoryRow, MirrorSample, VendorCallback
from memories.offline import ending
from memories.offline import working as offline_work
from memories.passages import indexing
from memories.pipeline.operations import retention as rules
from memories.privacy import erasure
from memories.recaps import making
from memories.repository import parsing, stored
from memories.reshaping import records as reshaping
from memories.reshaping import working
from memories.search import word_index
from memories.submissions import once
from memories.user_events import log as events
from memories.webhooks import delivery
from omi.core.pruning import delete_in_pieces
from omi.shared_metrics.schedules import Schedules
from omi.stores import damaged
from omi.stores.documents.base import DocumentError
from omi.stores.models import DamagedDocument

log = structlog.get_logger(__name__)
SAMPLE = 50
CALLBACKS_KEPT = timedelta(days=30)
"""Vendors repeat a callback for hours (fal: ten times within two)."""
SAMPLES_KEPT = timedelta(days=30)
INDEXED = 2000
"""Documents that one turn reads for the word index: some ten seconds."""

INDEXED_PASSAGES = 200
"""Memories that one turn embeds the passages of: at a few passages each some minutes of one core."""


def erasures() -> int:
    """Take up erasures that did not reach every store, and memories whose time to be restored, or to come back from a
    merge or a split, is over. Raises, at its end, where one of these could not be begun."""
    try:
        done = erasure.finish_pending()
    finally:
        expired = working.expire()
    return done + expired


def mirror_sample() -> int:
    """Look again at damaged documents, and compare a sample of memories with their rows; returns how many differ."""
    look_again()
    return len(compare.check_sample(SAMPLE))


def look_again(limit: int = 200) -> int:
    """Take documents off the list of damaged ones that are repaired or gone, longest seen first. How many."""
    shapes = {"memories": parsing.memory_from, "processing_memories": parsing.processing_from}
    gone = 0
    for path in list(DamagedDocument.objects.order_by("last_seen").values_list("path", flat=True)[:limit]):
        try:
            found = stored.read(path)
            if found is not None and (parse := shapes.get(path.split("/")[-2])):
                parse(found)
        except DocumentError:
            continue
        gone += damaged.forget(path)
    return gone


def index_words(limit: int = INDEXED) -> int:
    """Read what no search has read yet (imports, users who never search). The number of documents read."""
    done = 0
    for uid in MemoryRow.objects.filter(words_stale=True).order_by("uid").values_list("uid", flat=True).distinct():
        done += word_index.refresh(uid, limit - done)
        if done >= limit:
            break
    return done


def index_passages(limit: int = INDEXED_PASSAGES) -> int:
    """Bring what changed into the index within a minute or so: first its words, then its passages. How many memories
    were looked at."""
    index_words(limit)
    return indexing.index_due(limit)


def reshapings() -> int:
    """Merge, split and undo what no worker has come to; how many."""
    return working.due()


def recaps() -> int:
    """Make the recaps of days and weeks that ended; how many."""
    return making.tick()


def insights() -> int:
    """Count who spoke how in memories that changed; how many memories."""
    return figures.refresh_due(INDEXED)


def index_words_of(uid: str) -> int:
    """What a search of this user left to a worker."""
    return word_index.refresh(uid, INDEXED)


def webhooks() -> int:
    """Tell webhooks what happened; how many messages arrived."""
    return delivery.tick()


def offline() -> int:
    """Go on with batches of offline recordings that wait for a worker; how many."""
    return offline_work.tick()


def prune() -> int:
    """Delete events, remembered callbacks, webhooks' deliveries, feedback, submitted forms, expired links, merges that
    failed or were undone, offline batches that are over and samples of the mirror that are too old to matter; how many.
    """
    now = timezone.now()
    old = VendorCallback.objects.filter(received_at__lt=now - CALLBACKS_KEPT)
    samples = MirrorSample.objects.filter(at__lt=now - SAMPLES_KEPT)
    gone = delete_in_pieces(old) + delete_in_pieces(samples)
    gone += events.prune(now - events.KEPT) + delivery.prune() + reports.prune() + once.prune()
    return gone + links.prune() + reshaping.prune() + ending.prune()


def retention() -> dict[str, int]:
    """Delete what the pipeline's rows keep of work that ended long ago; how many rows, by kind."""
    return asdict(rules.prune())


SCHEDULES = Schedules(
    {
        name: (f"{__name__}.{task}", minutes)
        for name, task, minutes in (
            ("finish erasures", "erasures", 5),
            ("compare a sample of the mirror", "mirror_sample", 15),
            ("index words", "index_words", 5),
            ("index passages", "index_passages", 1),
            ("merge and split", "reshapings", 1),
            ("make recaps", "recaps", 10),
            ("count insights", "insights", 5),
            ("deliver webhooks", "webhooks", 1),
            ("go on with offline batches", "offline", 1),
            ("delete old events and callbacks", "prune", 24 * 60),
            ("delete rows of old runs", "retention", 24 * 60),
        )
    }
)
ensure_schedules = SCHEDULES.ensure
