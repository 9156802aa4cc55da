"""The documentation says what the code does: settings, decisions, commands, links and sizes are held together here."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PACKAGES = ("omi", "memories", "transcription", "speakers", "emotions", "demo")


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    source = "\n".join(path.read_text() for path in tracked("omi/settings*.py"))
    read = set(re.findall(r"env_\w+\(\s*\"([A-Z_]+)\"", source))
    page = set(re.findall(r"`([A-Z][A-Z_]{3,})`", (DOCS / "settings.md").read_text()))
    assert read - page == set()
    assert page - read - {"NAME_FILE"} == set()


def test_only_settings_reads_the_environment() -> None:
    """One typed place: a variable that is read elsewhere is not documented and not checked."""
    readers = [
        str(path.relative_to(ROOT))
        for path in tracked(*(f"{package}/*.py" for package in PACKAGES))
        if re.search(r"os\.(environ|getenv)", path.read_text())
    ]
    allowed = {
        "omi/core/env.py": "the reader",
        "omi/asgi.py": "names the settings module",
        "demo/servers.py": "gives a process its environment",
        "omi/management/commands/serve.py": "gives a process its environment",
        "memories/pipeline/subprocess_runner.py": "gives a process its environment",
        "transcription/audio/convert.py": "gives a process its environment",
        "omi/core/child_process.py": "gives a process its environment",
    }
    assert [name for name in readers if name not in allowed] == []


@pytest.mark.parametrize("package", [*PACKAGES, "bench"])
def test_no_source_file_is_over_400_lines(package: str) -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked(f"{package}/*.py")
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert long == {}


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*tracked("docs/*.md"), ROOT / "README.md"]:
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_command_is_in_the_readme_or_the_docs() -> None:
    commands = {
        path.stem
        for path in tracked(*(f"{package}/management/commands/*.py" for package in PACKAGES))
        if path.stem != "__init__"
    }
    pages = "\n".join(page.read_text() for page in [*tracked("docs/*.md"), ROOT / "README.md"])
    assert {name for name in commands if f"manage.py {name}" not in pages} == set()


def test_every_event_is_documented() -> None:
    source = (ROOT / "memories" / "user_events" / "log.py").read_text()
    kinds = re.findall(r"^[A-Z_]+ = \"(\w+)\"$", source, re.MULTILINE)
    page = (DOCS / "api.md").read_text()
    assert len(kinds) >= 8
    assert [kind for kind in kinds if f"`{kind}`" not in page] == []


def test_decisions_are_numbered_without_holes_or_doubles() -> None:
    numbers = sorted(int(path.name[:4]) for path in (DOCS / "decisions").glob("*.md") if path.name[:4].isdigit())
    assert numbers == list(range(1, len(numbers) + 1))


def test_requirements_are_exact_pins() -> None:
    for name in [*(path.name for path in tracked("requirements*.txt")), "constraints.txt"]:
        for line in (ROOT / name).read_text().splitlines():
            line = line.split("#")[0].strip()
            if line and not line.startswith("-"):
                assert re.fullmatch(r"[A-Za-z0-9_.\-]+(\[[a-z,]+\])?==[\w.]+", line), f"{name}: {line}"
