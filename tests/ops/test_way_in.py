"""The real blackbox exporter, with the configuration of ``ops/``, knocks at doors of every kind."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.ops.way_in import Door, certificate, door, exporter

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]
PROMETHEUS = Path(__file__).resolve().parents[2] / "ops" / "prometheus" / "prometheus.yml"


def probed(exporter_url: str, target: str) -> dict[str, float]:
    """The figures of one probe as Prometheus would ask for it: path and module are those of the job."""
    [job] = [job for job in yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"] if job["job_name"] == "way-in"]
    parameters = {"target": target, "module": job["params"]["module"][0]}
    answer = httpx.get(f"{exporter_url}{job['metrics_path']}", params=parameters, timeout=30)
    assert answer.status_code == 200, answer.text
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if not sample.labels
    }


def test_a_door_is_open_and_then_shut_and_its_certificate_ends_in_three_days(blackbox: str, tmp_path: Path) -> None:
    with door(tmp_path, days=3) as front, exporter(tmp_path, blackbox, front.pem) as asked:
        figures = probed(asked, f"{front.url}/healthz")
        assert figures["probe_success"] == 1
        left = figures["probe_ssl_earliest_cert_expiry"] - time.time()
        assert 2.9 * 86_400 < left <= 3 * 86_400
        front.close()
        figures = probed(asked, f"{front.url}/healthz")
        assert figures["probe_success"] == 0
        assert "probe_ssl_earliest_cert_expiry" not in figures, "what cannot be seen is not made up"


def test_a_certificate_that_has_ended_shuts_the_door(blackbox: str, tmp_path: Path) -> None:
    with door(tmp_path, days=-1) as front, exporter(tmp_path, blackbox, front.pem) as asked:
        assert probed(asked, f"{front.url}/healthz")["probe_success"] == 0


def test_a_certificate_of_another_name_or_that_nobody_signed_shuts_the_door(blackbox: str, tmp_path: Path) -> None:
    with door(tmp_path) as front:
        with exporter(tmp_path, blackbox, front.pem) as asked:
            assert probed(asked, f"https://localhost:{front.port}/healthz")["probe_success"] == 0
        with exporter(tmp_path, blackbox, None) as asked:
            assert probed(asked, f"{front.url}/healthz")["probe_success"] == 0


def test_somebody_else_who_answers_is_not_the_way_in(blackbox: str, tmp_path: Path) -> None:
    with door(tmp_path, body=b"<h1>Back soon</h1>") as front, exporter(tmp_path, blackbox, front.pem) as asked:
        assert probed(asked, f"{front.url}/healthz")["probe_success"] == 0
        assert probed(asked, "https://no-such-name.invalid/healthz")["probe_success"] == 0


def test_a_door_can_be_opened_again(tmp_path: Path) -> None:
    front = Door(certificate(tmp_path / "door.pem", 3))
    for _ in range(2):
        front.open()
        trusting = ssl.create_default_context(cafile=str(front.pem))
        assert httpx.get(f"{front.url}/healthz", verify=trusting, timeout=10).json() == {"status": "ok"}
        front.close()
