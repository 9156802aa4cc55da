"""Loading every adapter is cheap: the vendors' packages and the weights come with their first use."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
import django
django.setup()
from django.utils.module_loading import import_string
from omi import settings
for table in (settings._PRERECORDED, settings._STRUCTURERS, settings._EMBEDDERS, settings._EMOTIONS):
    for path in table.values():
        import_string(path)()
heavy = "openai httpx2 hume_expression_measurement fal_client vaderSentiment tokenizers safetensors ctranslate2 torch"
print(sorted(name for name in heavy.split() if name in sys.modules))
"""


def test_no_vendor_package_is_loaded_before_its_first_use() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
