"""Real Prometheus and Alertmanager on free ports, and an endpoint that PagerDuty's events and plain webhooks arrive at.
Where the blackbox exporter is installed it knocks at a door of the deployment, too (``way_in``).

They read copies of the files in ``ops/``: only addresses, and times (minutes become seconds), are not those of the
originals.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

from tests.ops.way_in import Door, answers, door, exporter
from tests.support.processes import free_port, running

OPS = Path(__file__).resolve().parents[2] / "ops"
RETENTION = "--storage.tsdb.retention.time=40d"
RESEND = "--rules.alert.resend-delay=10s"
"""What was sent before Prometheus knew Alertmanager is sent again after this, and not after a minute."""
RELOAD = "--web.enable-lifecycle"
SHORT = "20s"
"""Every window of the rules, in the copy. A scrape is due every second, and figures are up to five seconds old."""


class Receiver:
    """What arrived and was taken, in order: (path, body). Answers as PagerDuty's Events API v2 does, which takes no
    trigger without a summary. ``no_key``: it takes nothing at all, as where the key is wrong."""

    def __init__(self) -> None:
        self.arrived: list[tuple[str, dict[str, Any]]] = []
        self.no_key = False
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, said = 202, {"status": "success", "dedup_key": body.get("dedup_key", "")}
                if self.path == "/v2/enqueue" and receiver.no_key:
                    status, said = 403, {"status": "forbidden"}
                elif body.get("event_action") == "trigger" and not body["payload"]["summary"]:
                    status, said = 400, {"status": "invalid event", "errors": ["'payload.summary' is missing or blank"]}
                else:
                    receiver.arrived.append((self.path, body))
                answer = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def pages(self, action: str, alert: str) -> list[dict[str, Any]]:
        """PagerDuty events of this action (``trigger``, ``resolve``) about this alert."""
        return [
            body
            for path, body in list(self.arrived)
            if path == "/v2/enqueue" and body["event_action"] == action and alert in json.dumps(body)
        ]


@dataclass(frozen=True)
class Watch:
    prometheus: str
    alertmanager: str
    receiver: Receiver
    door: Door
    blackbox: str | None
    rules: Path
    """The folder of the copies of the rules."""

    def query(self, expression: str) -> list[dict[str, Any]]:
        """An instant query. Raises where the expression does not parse."""
        answer = httpx.get(f"{self.prometheus}/api/v1/query", params={"query": expression}, timeout=30)
        found = answer.json()
        assert found["status"] == "success", (expression, found)
        result: list[dict[str, Any]] = found["data"]["result"]
        return result

    def firing(self) -> set[str]:
        return {item["metric"]["alertname"] for item in self.query('ALERTS{alertstate="firing"}')}

    def read_rules_again(self) -> None:
        httpx.post(f"{self.prometheus}/-/reload", timeout=30).raise_for_status()


@contextmanager
def watch(folder: Path, target: str, programs: tuple[str, str], blackbox: str | None) -> Iterator[Watch]:
    """Watch the web server at ``target`` until the block ends. ``programs``: Prometheus, Alertmanager. ``blackbox``:
    the blackbox exporter; without it nobody knocks at the door."""
    with (
        Receiver() as receiver,
        door(folder) as front,
        exporter(folder, blackbox, front.pem) if blackbox else nullcontext() as asked,
        _alertmanager(folder, receiver, programs[1]) as alertmanager,
        _prometheus(folder, target, alertmanager, (front.url, asked), programs[0]) as prometheus,
    ):
        yield Watch(prometheus, alertmanager, receiver, front, asked, folder / "rules")


@contextmanager
def _alertmanager(folder: Path, receiver: Receiver, program: str) -> Iterator[str]:
    config = yaml.safe_load((OPS / "alertmanager" / "alertmanager.yml").read_text())
    config["global"]["pagerduty_url"] = f"{receiver.url}/v2/enqueue"
    key = folder / "pagerduty.key"
    key.write_text("a" * 32)
    for item in config["receivers"]:
        for to in item.get("pagerduty_configs", []):
            to["routing_key_file"] = str(key)
        for to in item.get("webhook_configs", []):
            to["url"] = to["url"].replace("http://127.0.0.1:9095", receiver.url)
    for route in (config["route"], *config["route"]["routes"]):
        route.update(group_wait="0s", group_interval="1s")
    file = folder / "alertmanager.yml"
    file.write_text(yaml.safe_dump(config))
    url = f"http://127.0.0.1:{free_port()}"
    address = url.removeprefix("http://")
    arguments = [f"--config.file={file}", f"--storage.path={folder / 'alertmanager'}", "--cluster.listen-address="]
    with running(
        [program, *arguments, f"--web.listen-address={address}"],
        ready=lambda: answers(f"{url}/-/ready"), log=folder / "alertmanager.log",
    ):  # fmt: skip
        yield url


@contextmanager
def _prometheus(
    folder: Path, target: str, alertmanager: str, way_in: tuple[str, str | None], program: str
) -> Iterator[str]:
    url = f"http://127.0.0.1:{free_port()}"
    rules = folder / "rules"
    rules.mkdir()
    for file in (OPS / "prometheus" / "rules").glob("*.yml"):
        text = re.sub(r"\[\d+[mhd]\]", f"[{SHORT}]", file.read_text())
        text = re.sub(r"offset \d+[mhd]", f"offset {SHORT}", text)
        (rules / file.name).write_text(re.sub(r"for: \d+[smh]", "for: 0s", text))
    config = yaml.safe_load((OPS / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [f"{rules}/*.yml"]
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [alertmanager.removeprefix("http://")]
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    for name, to in (("omi", target), ("alertmanager", alertmanager), ("prometheus", url)):
        jobs[name]["static_configs"][0]["targets"] = [to.removeprefix("http://")]
    front, asked = way_in
    if asked:
        job = jobs["way-in"]
        [to] = job["static_configs"][0]["targets"]
        job["static_configs"][0]["targets"] = [to.replace("https://omi.example.org", front)]
        job["relabel_configs"][-1]["replacement"] = asked.removeprefix("http://")
        job.update(scrape_interval="5s", scrape_timeout="5s")  # a busy machine takes its time for TLS
    else:
        config["scrape_configs"].remove(jobs["way-in"])
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    address = url.removeprefix("http://")
    arguments = [f"--config.file={file}", f"--storage.tsdb.path={folder / 'prometheus'}", RETENTION, RESEND, RELOAD]
    with running(
        [program, *arguments, f"--web.listen-address={address}"],
        ready=lambda: answers(f"{url}/-/ready"), log=folder / "prometheus.log",
    ):  # fmt: skip
        yield url
