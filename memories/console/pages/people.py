"""Users as support sees them: how much there is of what, and what went wrong. No words, no names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db.models import Count, Max, Sum
from django.http import Http404, HttpRequest, HttpResponse

from memories.console.models import FailedRun
from memories.console.pages.base import answer, needs
from memories.models import ErasureReceipt, MemoryRow, ProcessingMemoryRow, UserEvent, Webhook
from memories.pipeline.models import DailyUse, PostProcessingRun, VendorCall
from omi.accounts import erased
from omi.accounts.users import get_user
from omi.core.errors import ProviderError
from omi.stores.documents.base import DocumentError
from omi.stores.models import AudioObject
from speakers.models import VoiceConsent, VoiceSample

NEWEST = 200
"""Memories among which the list of people looks for the last active ones."""
RECENT = 20
CALLS = 2000
"""Calls of a user's newest runs that their spend is added up from."""


@needs()
def listed(request: HttpRequest) -> HttpResponse:
    """Who was active last: the users of the newest memories."""
    newest = MemoryRow.objects.order_by("-id").values_list("uid", flat=True)[:NEWEST]
    uids = list(dict.fromkeys(newest))[:50]
    rows = MemoryRow.objects.filter(uid__in=uids).values("uid").order_by()
    counted = {
        row["uid"]: row for row in rows.annotate(memories=Count("id"), last=Max("created_at"), seconds=Sum("seconds"))
    }
    return answer(request, "people", "People", people=[counted[uid] for uid in uids if uid in counted])


@needs()
def one(request: HttpRequest, uid: str) -> HttpResponse:
    """Answer with a user's page: counts, consents, sessions, failures, storage and spend, without words or names."""
    if len(uid) > 128:
        raise Http404
    memories = MemoryRow.objects.filter(uid=uid)
    runs = PostProcessingRun.objects.filter(uid=uid)
    counts = memories.aggregate(count=Count("id"), seconds=Sum("seconds"), last=Max("created_at"))
    sessions = ProcessingMemoryRow.objects.filter(uid=uid).order_by("-created_at")
    stored = AudioObject.objects.filter(uid=uid, deleted_at__isnull=True).values("purpose").order_by()
    if not (counts["count"] or runs.exists() or sessions.exists() or stored.exists() or _events(uid).exists()):
        raise Http404
    calls = VendorCall.objects.filter(run__in=list(runs.order_by("-id").values_list("pk", flat=True)[:500]))
    spend = calls.values("vendor").order_by().annotate(calls=Count("id"), cost=Sum("cost"), audio=Sum("audio_seconds"))
    return answer(
        request, "person", f"User {uid}", uid=uid, counts=counts, consents=_consents(uid),
        sessions=list(sessions[:RECENT]), memories=list(memories.order_by("-created_at")[:RECENT]),
        failed=list(FailedRun.objects.filter(uid=uid).select_related("group", "run").order_by("-at")[:RECENT]),
        storage=list(stored.annotate(files=Count("id"), bytes=Sum("size")).order_by("purpose")),
        spend=list(spend.order_by("-cost")[:20]),
        use=list(DailyUse.objects.filter(uid=uid).order_by("-day", "kind")[:21]),
        erasures=list(ErasureReceipt.objects.filter(subject__in=erased.digests(uid))[:5]),
        events=list(_events(uid)[:RECENT]),
    )  # fmt: skip


def _events(uid: str) -> Any:
    return UserEvent.objects.filter(uid=uid).order_by("-number")


def _consents(uid: str) -> list[tuple[str, str]]:
    """What the user allowed, each as a name and a value."""
    try:
        doc = get_user(uid)
        settings = [
            ("recordings are kept", "yes" if doc.store_recording_permission else "no"),
            ("push about emotions", "yes" if doc.emotional_feedback_push else "no"),
            ("language", doc.language or "as spoken"),
            ("time zone", doc.time_zone),
            ("devices with push", str(len(doc.fcm_tokens))),
        ]
    except (ProviderError, DocumentError) as error:
        settings = [("settings", f"cannot be read: {type(error).__name__}")]
    voices = VoiceConsent.objects.filter(uid=uid)
    return [
        *settings,
        ("account", "deleted" if erased.erased_since(uid, datetime(1970, 1, 1, tzinfo=UTC)) else "alive"),
        ("consents to learn voices", f"{voices.filter(withdrawn_at=None).count()} given, "
                                     f"{voices.exclude(withdrawn_at=None).count()} withdrawn"),
        ("voice samples", str(VoiceSample.objects.filter(uid=uid, removed_at=None).count())),
        ("webhooks", str(Webhook.objects.filter(uid=uid).count())),
    ]  # fmt: skip
