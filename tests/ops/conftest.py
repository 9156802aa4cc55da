"""One deployment for the whole folder, with a day of the app behind it, and the programs that watch it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from demo.material import RECORDINGS, bundled, pcm
from demo.servers import DemoError, installation
from demo.vendors.server import VendorServer
from tests.ops.deployment import SETTINGS, VENDORS, Deployment, morning, noon, until
from tests.ops.watching import Watch, watch
from tests.support.migrated import migrated
from tests.support.processes import Unavailable
from tests.support.services import missing

MORNING = (
    'memory_postprocessing_runs_total{outcome="success"}',
    'memory_postprocessing_duration_seconds_count{outcome="success"}',
    'memory_vendor_latency_seconds_count{vendor="openai"}',
    "omi_search_seconds_count",
)
"""Series that the morning's run and search leave."""


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Web server, worker, simulated vendors."""
    with VendorServer(vendors=("deepgram", "openai")) as vendors:
        vendors.library.load(str(RECORDINGS / "conversation.json"))
        environment = {name: value for name, value in vendors.urls.items() if name != "SIM_URL"}
        try:
            with installation(
                tmp_path_factory.mktemp("ops") / "data",
                database=migrated(),
                staff=False,
                settings={**SETTINGS, **VENDORS, **environment},
            ) as running:
                yield Deployment(running, vendors)
        except DemoError as error:
            pytest.fail(str(error))


@pytest.fixture(scope="session")
def watched(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    """Prometheus scrapes the deployment every second from before anything happened in it."""
    programs = program("prometheus", "prometheus"), program("prometheus-alertmanager", "prometheus-alertmanager")
    blackbox = shutil.which("prometheus-blackbox-exporter")  # without it the rest can be watched all the same
    with watch(tmp_path_factory.mktemp("watch"), deployment.url, programs, blackbox) as found:
        until(lambda: found.query('up{job="omi"} == 1'), 60, "Prometheus does not reach the server")
        yield found


@pytest.fixture(scope="session")
def lived_in(deployment: Deployment, request: pytest.FixtureRequest) -> Deployment:
    """The deployment with a day of the app behind it, seen by Prometheus where that is installed.

    Prometheus sees an increase only of a series that it has seen before: the morning is scraped before noon begins.
    A memory's title is there before its run has ended, and the figures of runs are read again after some seconds only.
    """
    watch = request.getfixturevalue("watched") if shutil.which("prometheus") else None
    morning(deployment)
    if watch is not None:
        for series in MORNING:
            until(lambda series=series: watch.query(f"{series} > 0"), 60, f"Prometheus has not seen {series}")
    noon(deployment, pcm(bundled().recording))
    return deployment


def program(name: str, package: str) -> str:
    """The path of a program of the test packages; else the test is skipped, loudly (``missing``)."""
    found = shutil.which(name)
    if found is None:
        missing(name, Unavailable(f"apt-get install {package} (`make packages` does so where it may)"))
        raise AssertionError("unreachable")
    return found


@pytest.fixture(scope="session")
def blackbox() -> str:
    return program("prometheus-blackbox-exporter", "prometheus-blackbox-exporter")


@pytest.fixture(scope="session")
def promtool() -> str:
    return program("promtool", "prometheus")


@pytest.fixture(scope="session")
def amtool() -> str:
    return program("amtool", "prometheus-alertmanager")
