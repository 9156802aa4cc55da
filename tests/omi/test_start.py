"""What a process loads before it does anything: each server, worker and command pays for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOADED = """
import gc, sys
import omi.asgi
from django.urls import get_resolver
get_resolver().url_patterns
assert gc.isenabled() and gc.get_freeze_count() > 50_000
print(*sorted({name for name in sys.modules} & set(sys.argv[1:])))
"""
LATER = (
    "memories.structuring.tongues.en",  # patterns that take a tenth of a second to compile
    "memories.structuring.local",
    "ctranslate2",
    "onnxruntime",
    "sherpa_onnx",
    "openai",
    "pinecone",
    "firebase_admin",
    "mcp",
)


def test_a_web_process_loads_no_rules_of_a_language_no_model_and_no_vendors_library(tmp_path: Path) -> None:
    environment = {"OMI_DATA_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    told = subprocess.run(
        [sys.executable, "-c", LOADED, *LATER], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout.strip() == ""
