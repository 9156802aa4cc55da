"""What the pages of the runbooks are about, put into the database and onto the disk of a deployment that is well."""

from __future__ import annotations

import ast
import json
from functools import cache

from tests.support.interpreter import Interpreter
from tests.support.migrated import ROOT

PACKAGES = ("omi", "memories", "transcription", "speakers", "emotions")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
GONE = "host-gone"
OF_DJANGO_Q = "reincarnated worker %(name)s after death"
"""What Django-Q2 logs of a worker process that was killed."""

SEED = """
from datetime import timedelta
from django.utils import timezone
from django_q.models import Schedule
from memories.backup import metrics as backups
from memories.mirror.models import MemoryRow
from memories.models import ErasureReceipt
from memories.offline.models import SyncBatch
from memories.pipeline.models import PostProcessingRun, VendorBreaker
from memories.recaps import making
from memories.recaps.models import Recap
from omi.shared_metrics import schedules
from omi.shared_metrics.models import SharedTotal
now = timezone.now()
# Else the worker mends it before anybody has read the page: they are due when the deployment begins.
mending = ("memories.upkeep.erasures", "memories.pipeline.tasks.reconcile", "memories.pipeline.tasks.housekeeping")
Schedule.objects.filter(func__in=mending).update(next_run=now + timedelta(hours=1))
run = {"kind": "reprocess", "plan": ["structure", "index", "publish"], "current_step": "structure", "actor": "test"}
memory, held = (PostProcessingRun.objects.filter(uid=uid).earliest("id").memory_id for uid in ("lived", "early"))
if not PostProcessingRun.objects.filter(dead_letter=True).exists():
    PostProcessingRun.objects.create(
        uid="lived", memory_id=memory, state="finished", outcome="timeout", message_id="worker_died",
        dead_letter=True, notified=True, claims=8, total_claims=8, started_at=now, finished_at=now, **run,
    )
# It has waited for two hours, and is not due before its page was read (a due time further ahead is not believed).
if not PostProcessingRun.objects.filter(uid="early", actor="test").exists():
    waits = PostProcessingRun.objects.create(
        uid="early", memory_id=held, state="waiting", claims=1, total_claims=1, started_at=now, **run,
        due_at=now + timedelta(minutes=25),
    )
    PostProcessingRun.objects.filter(pk=waits.pk).update(created_at=now - timedelta(hours=2))
if not ErasureReceipt.objects.filter(complete=False).exists():
    ErasureReceipt.objects.create(subject="0" * 32, kind="memory", uid="lived", memory_id="gone", failed={"audio": "x"})
if not SyncBatch.objects.exists():
    told = {"uid": "lived", "language": "en", "request": "x", "created_at": now, "expires_at": now + timedelta(days=7)}
    batch = SyncBatch.objects.create(id="sync_gave_up", state="failed", ended_at=now, tries=9, **told)
    batch.files.create(number=0, captured_at=now, codec="opus", size=9, sha256="0" * 64, state="whole", pieces=["gone"])
VendorBreaker.objects.update_or_create(
    vendor="openai", defaults={"open": True, "reason": "quota", "opened_at": now, "retry_at": now + timedelta(hours=1)}
)
SharedTotal.objects.filter(name=schedules.LAST_SUCCESS, labels='["housekeeping/audio"]').update(
    value=now.timestamp() - 86400
)
Recap.objects.update_or_create(
    uid="lived", kind="day", first=(now - timedelta(days=9)).date(), defaults={"due": True, "tries": making.MOST_TRIES}
)
backups.note(backups.TIMER)
SharedTotal.objects.filter(name=backups.LAST).update(value=now.timestamp() - 2 * 86400)
MemoryRow.objects.filter(uid="early", memory_id=held).update(language="xx")
print(memory, held)
"""

CLEAR = """
from django.utils import timezone
from django_q.models import Schedule
from memories.mirror import compare
from memories.models import ErasureReceipt
from memories.offline.models import SyncBatch
from memories.pipeline.models import PostProcessingRun, VendorBreaker
PostProcessingRun.objects.filter(actor="test").delete()
VendorBreaker.objects.filter(vendor="openai").delete()
ErasureReceipt.objects.filter(memory_id="gone").delete()
SyncBatch.objects.filter(id="sync_gave_up").delete()
compare.rebuild_user("early")
Schedule.objects.filter(next_run__gt=timezone.now()).update(next_run=timezone.now())
"""

HOSTS = """
from dataclasses import asdict
from datetime import timedelta
from django.utils import timezone
from transcription.hosts.models import Host, HostJournal
from transcription.journal.store import Meta
now = timezone.now()
for name, seen, behind in (
    ("host-here", now, 0.0), ("host-late", now, 12.0), ("host-gone", now - timedelta(minutes=9), 0.0)
):
    fields = {"began_at": now, "seen_at": seen, "clock_behind": behind, "lost_at": None}
    Host.objects.update_or_create(id=name, defaults=fields)
meta = Meta("lived", "lost-session", (now - timedelta(minutes=10)).isoformat(), "en", "pcm16", 16000)
HostJournal.objects.update_or_create(
    session_id="lost-session", defaults={
        "uid": "lived", "host": "host-gone", "state": "open", "received": 30.0, "decided": 20.0, "meta": asdict(meta),
        "changed_at": now,
    },
)
"""

NO_HOSTS = """
from transcription.hosts.models import Host, HostJournal
Host.objects.all().delete()
HostJournal.objects.all().delete()
"""
"""The servers of this deployment are one host: rows of others would be noticed."""

CLOCK_IS_RIGHT = """
from transcription.hosts.models import Host
Host.objects.filter(id="host-late").update(clock_behind=0.0)
"""

IT_HAS_ENDED = """
from memories.pipeline.models import PostProcessingRun
PostProcessingRun.objects.filter(uid="early", actor="test").delete()
"""

ORPHANED = """
from datetime import UTC, datetime
from transcription import journal
from transcription.audio.codecs import codec
from transcription.ports import SessionInfo
info = SessionInfo("lived", "orphan-session", datetime.now(UTC), "en", "pcm16", 16000)
written = journal.Journal.open(info, codec("pcm16", 16000), watch=True)
assert written.append([bytes(64000)])
written.abandon()
"""
"""A journal that nobody writes and nobody has finished."""


def seeded(python: Interpreter) -> tuple[str, str]:
    """Put into the database what most pages are about; two memories: that of a run given up, and of one that waits."""
    given_up, waits = python.printed(SEED).split()[-2:]
    return given_up, waits


def orphaned(python: Interpreter) -> None:
    """In a process of its own: a journal is written by threads."""
    done = python.run("manage.py", "shell", "-v", "0", "-c", ORPHANED)
    assert done.returncode == 0, done.stderr


@cache
def logged() -> frozenset[str]:
    """The events that the product's code logs: the first argument of every call such as ``log.info("run_created")``."""
    found = set[str]()
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            found |= {event for node in ast.walk(ast.parse(file.read_text())) if (event := _event(node))}
    return frozenset(found)


def _event(node: ast.AST) -> str:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS):
        return ""
    if not (node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)):
        return ""
    return node.args[0].value if "log" in ast.unparse(node.func.value) else ""


def past() -> list[str]:
    """One line of each event, as a log of JSON has them: a grep for an event that there is not finds nothing."""
    lines = [json.dumps({"event": event, "level": "error"}) for event in sorted(logged())]
    fault = 'Traceback (most recent call last):\n  File "memories/api/search.py", line 1\nAttributeError: x'
    told = {"event": "Internal Server Error: /v1/memories", "request_id": "0" * 32, "exception": fault}
    return [*lines, json.dumps(told), json.dumps({"event": OF_DJANGO_Q % {"name": "Process-1"}})]
