"""The rules, routes and pages of ``ops/`` are valid, belong together, and are true of the metrics that there are."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.urls import resolve

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "ops" / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
SAMPLES = sorted((PROMETHEUS / "tests").glob("*.yml"))
RUNBOOKS = ROOT / "docs" / "runbooks"
ALWAYS = {"Watchdog"}
"""It fires whatever there is, so no sample can leave it silent, and it goes to nobody."""


def alerts() -> dict[str, dict[str, Any]]:
    groups = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def samples() -> list[tuple[str, bool]]:
    """(alert, whether it must fire) of each sample."""
    tests = [test for file in SAMPLES for test in yaml.safe_load(file.read_text())["tests"]]
    return [(rule["alertname"], bool(rule["exp_alerts"])) for test in tests for rule in test["alert_rule_test"]]


def done(*command: str | Path, cwd: Path | None = None) -> str:
    ended = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=cwd, timeout=240, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_prometheus_takes_its_configuration_and_rules(promtool: str) -> None:
    done(promtool, "check", "config", PROMETHEUS / "prometheus.yml")


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.stem)
def test_every_sample_fires_or_stays_silent_as_it_must(promtool: str, file: Path) -> None:
    done(promtool, "test", "rules", file)


def test_every_alert_has_a_sample_that_fires_and_one_that_does_not() -> None:
    found = set(samples())
    assert {name for name in alerts() if (name, True) not in found} == set()
    assert {name for name in alerts() if (name, False) not in found} == ALWAYS


@pytest.mark.parametrize("name", sorted(alerts()))
def test_an_alert_says_what_it_means_whom_it_hurts_and_what_to_do(name: str) -> None:
    rule = alerts()[name]
    assert rule["labels"]["severity"] in ({"none"} if name in ALWAYS else {"page", "ticket"})
    notes = rule["annotations"]
    assert all(len(notes[key]) > 20 for key in ("summary", "impact", "action"))
    page = ROOT / notes["runbook"]
    assert page == RUNBOOKS / f"{name}.md"
    text = page.read_text()
    assert text.startswith(f"# {name}\n")
    for heading in ("## What it means", "## Who is hurt", "## What to do", "## How you see that it is over"):
        assert heading in text, f"{page.name} lacks {heading!r}"


def test_no_page_is_of_an_alert_that_there_is_not() -> None:
    pages = {page.stem for page in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == set(alerts())


def test_the_list_of_pages_has_each_alert_with_its_severity() -> None:
    listed = re.findall(r"^\| \[(\w+)\]\((\w+)\.md\) \| (\w+) \|$", (RUNBOOKS / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted((name, name, rule["labels"]["severity"]) for name, rule in alerts().items())


def test_the_page_of_metrics_names_the_alerts_that_read_each() -> None:
    """Both ways: an alert reads what the page says, and the page says who reads it."""
    groups = yaml.safe_load((PROMETHEUS / "rules" / "recording.yml").read_text())["groups"]
    recorded = {str(rule["record"]): str(rule["expr"]) for group in groups for rule in group["rules"]}
    page = (ROOT / "docs" / "metrics.md").read_text()
    said, read = set(), set()
    names = set()
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) >= 5 and cells[0].startswith("`") and cells[1] in {"counter", "gauge", "histogram"}:
            for name in re.findall(r"`(\w+)`", cells[0]):
                names.add(name)
                said |= {(name, alert) for alert in re.findall(r"\w+", cells[-1])}
    for alert, rule in alerts().items():
        text = str(rule["expr"])
        text += "".join(recorded[name] for name in set(re.findall(r"omi:\w+:\w+", text)))
        read |= {(name, alert) for name in names if re.search(rf"\b{name}(_bucket|_count|_sum)?\b", text)}
    assert said - read == set(), "the page names an alert that does not read the metric"
    assert read - said == set(), "an alert reads a metric whose line does not name it"


def test_what_prometheus_and_probes_ask_is_no_part_of_the_answers_that_an_alert_is_about() -> None:
    left_out = set(re.findall(r'view!~"([^"]+)"', str(alerts()["ApiErrors"]["expr"])))
    assert len(left_out) == 1
    for path, counts in (("/healthz", False), ("/readyz", False), ("/metrics", False), ("/v1/memories", True)):
        assert (re.fullmatch(*left_out, str(resolve(path).view_name)) is None) is counts, path


def test_alertmanager_takes_its_configuration(amtool: str) -> None:
    assert "SUCCESS" in done(amtool, "check-config", ROOT / "ops" / "alertmanager" / "alertmanager.yml")


@pytest.mark.parametrize("name", sorted(alerts()))
def test_an_alert_goes_where_its_severity_says(amtool: str, name: str) -> None:
    severity = alerts()[name]["labels"]["severity"]
    receiver = {"page": "pager", "ticket": "webhook", "none": "watchdog"}[severity]
    config = ROOT / "ops" / "alertmanager" / "alertmanager.yml"
    done(amtool, "config", "routes", "test", "--config.file", config, f"--verify.receivers={receiver}",
         f"alertname={name}", f"severity={severity}")  # fmt: skip


def test_a_page_reaches_pagerduty_and_the_webhook() -> None:
    config = yaml.safe_load((ROOT / "ops" / "alertmanager" / "alertmanager.yml").read_text())
    receivers = {receiver["name"]: receiver for receiver in config["receivers"]}
    assert receivers["pager"]["pagerduty_configs"]
    assert receivers["pager"]["webhook_configs"]
    assert config["global"]["pagerduty_url"] == "https://events.pagerduty.com/v2/enqueue"
    assert "routing_key" not in receivers["pager"]["pagerduty_configs"][0], "a key stands in a file, not here"


def test_the_journal_keeps_lines_for_the_days_that_the_data_map_says() -> None:
    kept = configparser.ConfigParser()
    kept.optionxform = str  # type: ignore[assignment,method-assign]
    kept.read_string((ROOT / "ops" / "systemd" / "journald-omi.conf").read_text())
    journal = dict(kept["Journal"])
    assert set(journal) == {"Storage", "MaxRetentionSec", "MaxFileSec", "SystemMaxUse"}
    days = int(journal["MaxRetentionSec"].removesuffix("day"))
    assert journal["MaxFileSec"] == "1day", "a file is deleted as a whole: the default of a month would double the days"
    assert f"{days} days where the journal keeps them" in (ROOT / "docs" / "privacy.md").read_text()
    assert f"after **{days} days** by the machine's journal" in (ROOT / "ops" / "README.md").read_text()


@pytest.mark.parametrize("unit", ["omi-backup.timer", "omi-backup.service", "omi-web.service", "omi-worker.service"])
def test_systemd_takes_the_units(unit: str, tmp_path: Path) -> None:
    """As they are, but for the folder of the installation, which is this one."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze cannot be had here: apt-get install systemd")
    for file in (ROOT / "ops" / "systemd").glob("omi-*"):
        (tmp_path / file.name).write_text(file.read_text().replace("/opt/omi", str(ROOT)))
    done("systemd-analyze", "verify", tmp_path / unit)
    text = (ROOT / "ops" / "systemd" / unit).read_text()
    services = {"omi-backup.service", "omi-web.service", "omi-worker.service"}
    assert services == {f.name for f in (ROOT / "ops" / "systemd").glob("*.service")}
    if unit in services:
        assert ("manage.py backup /var/backups/omi --daily" if "backup" in unit else "manage.py serve") in text
        assert "User=omi" in text
