"""Every command of every runbook runs, in the order of the page, against a deployment that has what the page is about.

Blocks of ``sh`` are run; blocks of ``console`` need root and systemd and may only name programs of the machine.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ops.deployment import Deployment
from tests.ops.watching import Watch
from tests.support.interpreter import Interpreter

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(page for page in (ROOT / "docs" / "runbooks").glob("*.md") if page.stem != "README")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OF_THE_MACHINE = re.compile(
    r"^# (systemctl|journalctl|timedatectl|sudo -u postgres psql|sudo -u omi \S+ manage.py hosts --lost)( |$)"
)
VENDOR, OWNER = "openai", "lived"

SEED = """
from datetime import timedelta
from django.utils import timezone
from django_q.models import Schedule
from memories.models import ErasureReceipt
from memories.offline.models import SyncBatch
from memories.pipeline.models import PostProcessingRun, VendorBreaker
now = timezone.now()
# Else the worker takes the open erasure up before anybody has read the page: it is due when the deployment begins.
Schedule.objects.filter(func="memories.upkeep.erasures").update(next_run=now + timedelta(hours=1))
memory = PostProcessingRun.objects.filter(uid="lived").latest("id").memory_id
if not PostProcessingRun.objects.filter(dead_letter=True).exists():
    PostProcessingRun.objects.create(
        uid="lived", memory_id=memory, kind="reprocess", state="finished", outcome="timeout", message_id="worker_died",
        dead_letter=True, notified=True, plan=["structure", "index", "publish"], current_step="structure",
        actor="test", claims=8, total_claims=8, started_at=now, finished_at=now,
    )
if not ErasureReceipt.objects.filter(complete=False).exists():
    ErasureReceipt.objects.create(subject="0" * 32, kind="memory", uid="lived", memory_id="gone", failed={"audio": "x"})
if not SyncBatch.objects.exists():
    told = {"uid": "lived", "language": "en", "request": "x", "created_at": now, "expires_at": now + timedelta(days=7)}
    batch = SyncBatch.objects.create(id="sync_gave_up", state="failed", ended_at=now, tries=9, **told)
    batch.files.create(number=0, captured_at=now, codec="opus", size=9, sha256="0" * 64, state="whole", pieces=["gone"])
VendorBreaker.objects.update_or_create(
    vendor="openai", defaults={"open": True, "reason": "quota", "opened_at": now, "retry_at": now + timedelta(hours=1)}
)
print("memory", memory)
"""


def blocks(page: Path, kind: str) -> list[str]:
    return [text for language, text in BLOCK.findall(page.read_text()) if language == kind]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_holds_commands_to_try_and_commands_of_the_machine(page: Path) -> None:
    languages = {language for language, _ in BLOCK.findall(page.read_text())}
    assert languages <= {"sh", "console"}
    assert len(blocks(page, "sh")) >= 2
    for text in blocks(page, "console"):
        assert all(OF_THE_MACHINE.match(line) for line in text.splitlines()), text


@pytest.fixture(scope="module")
def python(lived_in: Deployment) -> Iterator[Interpreter]:
    """Runs the pages' ``manage.py`` commands in the deployment, each in a process of its own."""
    started = Interpreter(lived_in.installation.environment)
    yield started
    started.close()


@pytest.fixture(scope="module")
def environment(
    lived_in: Deployment, watched: Watch, python: Interpreter, promtool: str, amtool: str
) -> dict[str, str]:
    """What a page's reader has set, with a dead letter, an open erasure and an open breaker in the database."""
    if shutil.which("curl") is None:
        pytest.fail("curl is needed by the runbooks")
    return {
        **os.environ,
        **lived_in.installation.environment,
        "OMI_URL": lived_in.url,
        "PROMETHEUS": watched.prometheus,
        "ALERTMANAGER": watched.alertmanager,
        "VENDOR": VENDOR,
        "OWNER": OWNER,
        "MEMORY": seeded(python),
        "OPERATOR": "somebody",
    }


def seeded(python: Interpreter) -> str:
    """Put into the database what the pages are about; the id of a memory."""
    return python.printed(SEED).split()[-1]


_told: dict[str, str] = {}
"""What a command said: several pages begin with the same look, which takes seconds."""
CHANGES = re.compile(r"--(close|retry|rebuild)\b|upkeep")
"""A command that changes what the others see: then all are asked again."""


MANAGE = re.compile(r"\.venv/bin/python (manage\.py [^|>&]+?)( \|\| true)?")
"""A command of the product's own: the shell reads its words, and it runs without the second of Django's start."""


def told_by(command: str, environment: dict[str, str], python: Interpreter) -> str:
    """Run one line as a shell does that stops at the first failure; what it said."""
    if command in _told:
        return _told[command]
    own = MANAGE.fullmatch(command)
    done = in_shell(f"printf '%s\\0' {own[1]}" if own else command, environment)
    if own and done.returncode == 0:
        done = python.run(*done.stdout.rstrip("\0").split("\0"), timeout=120)
    may_fail = own and own[2]
    assert done.returncode == 0 or may_fail, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert "Traceback (most recent call last)" not in done.stderr, done.stderr[-2000:]
    if CHANGES.search(command):
        forget_looks()
    else:
        _told[command] = done.stdout
    return done.stdout


def in_shell(command: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-eu", "-c", command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def forget_looks() -> None:
    """What ``manage.py`` says of the database may be another thing now; what the programs around it say is not."""
    for command in [command for command in _told if re.search(r"breakers|deadletters|offline|mirror", command)]:
        del _told[command]


@pytest.mark.process
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_runs(
    page: Path, lived_in: Deployment, environment: dict[str, str], python: Interpreter
) -> None:
    commands = [line for text in blocks(page, "sh") for line in text.splitlines()]
    if page.stem == "ErasureOpen" or any("--close" in command for command in commands):
        seeded(python)  # an earlier page has closed it, or a schedule of the deployment has finished it
        forget_looks()
    told = "\n".join(told_by(command, environment, python) for command in commands)
    for expected in EXPECTED.get(page.stem, ()):
        assert re.search(expected, told), f"{page.stem} does not show {expected!r}:\n{told[-3000:]}"


EXPECTED: dict[str, tuple[str, ...]] = {
    "DeadLetters": (r"given up in structure after 8 workers", r"-> run \d+", r"1 dead letters", r"0 dead letters"),
    "OfflineBatchesStuck": (r"sync_gave_up  lived  failed", r"-> queued", r"\d unfinished, 0 failed"),
    "VendorQuotaExhausted": (r"openai: not called since", r"openai is called again", r"Every vendor is called"),
    "VendorBreakerOpen": (r"openai: not called since", r"Every vendor is called"),
    "MemorySuccessLow": (r"\d+ runs ended in the last 30 minutes", r"a reprocess run|a postprocess run"),
    "OldestRunTooOld": (r"Unfinished: ",),
    "ErasureOpen": (r"'0{32}'", r"taken up"),
    "ServerDown": (r'"status": "ok"', r"200", r"up\{"),
    "FiguresUnreadable": (r'"database": \{"ok": true',),
    "MirrorDrift": (r"repaired", r"no differences"),
    "AudioFailed": (r"oldest unfinished run",),
    "DiskNearlyFull": (r"Use%",),
    "AdmissionClosed": (r'reason="disk_nearly_full"', r'reason="queue_too_old"', r'"admission"', r"Use%"),
}
"""What the operator must have seen on the way, by page."""
