"""A real server on a small file system that fills up: nobody new is let in, nothing that was accepted is lost."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from demo.servers import Installation, installation
from omi.accounts import tokens
from tests.acceptance.wire import App, listen
from tests.support import sound
from tests.support.migrated import migrated

pytestmark = pytest.mark.process
MIB = 1024**2


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(place)], capture_output=True, text=True, timeout=20
    )
    if done.returncode:
        pytest.skip(f"no small file system without root, NOT TRIED on a real full disk: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True, timeout=20)


@pytest.fixture
def own(small: Path) -> Iterator[Installation]:
    settings = {
        "DJANGO_SETTINGS_MODULE": "omi.settings", "OMI_ADMIT_FREE_BYTES": str(40 * MIB), "OMI_ADMIT_FREE_SHARE": "0",
        "OMI_JOURNAL_FREE_BYTES": str(10 * MIB), "OMI_LOG_FORMAT": "json",
    }  # fmt: skip
    with installation(small / "data", database=migrated(), staff=False, settings=settings) as running:
        yield running


def test_a_disk_that_fills_up_keeps_newcomers_out_and_nothing_else(own: Installation, small: Path) -> None:
    here = App(own.url, "here", tokens.mint("here"))
    memory = here.create_memory()
    path = f"/v1/memories/{memory['id']}/post-processing"
    large, little = sound.tone(12), sound.tone(1)
    assert len(large) > 64 * 1024 > len(little)
    with listen(own.url, here.token) as running:
        running.status("ready")
        running.send(bytes(32000))
        filler = small / "filler"
        free = os.statvfs(small).f_bavail * os.statvfs(small).f_frsize
        filler.write_bytes(bytes(free - 30 * MIB))
        time.sleep(1.1)  # a look at the disk is believed for a second

        for content in (large, little):  # at the door, and in the application
            answer = here.upload(path, content)
            assert (answer.status_code, answer.json()["code"]) == (503, "disk_nearly_full")
            assert int(answer.headers["Retry-After"]) > 0
        with listen(own.url, tokens.mint("late")) as newcomer:
            assert newcomer.status("refused")["reason"] == "disk_nearly_full"
            assert newcomer.closed() == 1013

        running.send(bytes(32000))  # who is here goes on: audio is journaled, reads are answered, work is done
        running.alive()
        journals = (small / "data" / "journal").rglob("audio.bin")
        assert sum(file.stat().st_size for file in journals) >= 32000
        assert here.get(f"/v1/memories/{memory['id']}").status_code == 200
        here.wait(path, lambda run: run["state"] == "finished")
        ready = httpx.get(f"{own.url}/readyz", timeout=20)
        assert ready.status_code == 200
        assert ready.json()["admission"]["disk_nearly_full"] == "closed"
        figures = httpx.get(f"{own.url}/metrics", timeout=20).text
        assert 'omi_admission_closed{reason="disk_nearly_full"} 1.0' in figures
        assert 'omi_admission_refused_total{reason="disk_nearly_full",what="socket"} 1.0' in figures

        filler.unlink()
        time.sleep(1.1)
        with listen(own.url, tokens.mint("late")) as later:
            later.status("ready")
        assert here.upload(path, large).status_code == 200
