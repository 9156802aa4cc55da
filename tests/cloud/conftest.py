"""The deployment that the tests of this folder share. A part that cannot be had skips them all and is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from demo import material
from demo.material import Material
from demo.servers import installation
from demo.vendors.server import VendorServer
from tests.cloud.deployment import PROJECT, Deployment, environment
from tests.cloud.journey import PART, Journey, travel
from tests.cloud.outages import Firestore, Redis
from tests.support.interpreter import Interpreter
from tests.support.migrated import fill_postgres
from tests.support.processes import Unavailable, free_port
from tests.support.services import missing
from tests.support.sound import write_wav

pytestmark = pytest.mark.process


@pytest.fixture(scope="session")
def talk() -> Material:
    return material.bundled()


@pytest.fixture(scope="session")
def recording(talk: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled conversation as the WAV that the app uploads."""
    return write_wav(tmp_path_factory.mktemp("recording") / "conversation.wav", material.pcm(talk.recording))


@pytest.fixture(scope="session")
def cloud_vendors(talk: Material) -> Iterator[VendorServer]:
    with VendorServer(fal_seconds=1.0) as server:
        server.library.load(str(talk.recording.with_suffix(".json")))
        yield server


@pytest.fixture(scope="session")
def cloud_firestore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firestore]:
    emulator = Firestore(tmp_path_factory.mktemp("cloud-firestore"), PROJECT)
    try:
        emulator.start()
    except Unavailable as problem:
        missing("the Firestore emulator", problem)
    yield emulator
    emulator.close()


@pytest.fixture(scope="session")
def cloud_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    redis = Redis(tmp_path_factory.mktemp("cloud-redis"))
    try:
        redis.start()
    except Unavailable as problem:
        missing("Redis", problem)
    yield redis
    redis.stop()


@pytest.fixture(scope="session")
def cloud(
    postgres_url: str,
    cloud_redis: Redis,
    cloud_firestore: Firestore,
    gcs_url: str,
    cloud_vendors: VendorServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    with psycopg.connect(postgres_url.replace("postgres://", "postgresql://"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE cloud")
    fill_postgres(f"{postgres_url.rsplit('/', 1)[0]}/cloud")
    port = free_port()
    settings = environment(
        vendors=cloud_vendors,
        emulator=cloud_firestore,
        database_url=f"{postgres_url.rsplit('/', 1)[0]}/cloud",
        redis=cloud_redis,
        gcs_url=gcs_url,
        port=port,
    )
    with installation(tmp_path_factory.mktemp("cloud") / "data", settings=settings, port=port) as running:
        commands = Interpreter(running.environment)
        client = cloud_firestore.client()
        yield Deployment(running, cloud_vendors, cloud_firestore, cloud_redis, client, gcs_url, commands)
        commands.close()


@pytest.fixture(scope="session")
def journey(cloud: Deployment, talk: Material, recording: Path) -> Journey:
    """The whole path once: enrolment, live talk, memory, post-processing with emotions."""
    return travel(cloud, talk, recording, "anna")


@pytest.fixture(scope="session")
def detour(cloud: Deployment, talk: Material, recording: Path) -> Journey:
    """The path of another user while Deepgram's socket refuses everyone and fal's account is out of money.

    It is this user who is erased in the end: ``test_leaving`` comes after ``test_faults``.
    """
    vendors = cloud.vendors
    vendors.faults("deepgram", {"kind": "refuse", "op": "live", "status": 503, "times": -1})
    vendors.faults(
        "fal",
        {"kind": "refuse", "op": "submit", "status": 403, "message": "User is locked. Reason: Exhausted balance.",
         "times": -1},
    )  # fmt: skip
    try:
        return travel(cloud, talk, recording, "detour", seconds=PART)
    finally:
        for vendor in ("deepgram", "fal"):
            vendors.faults(vendor, clear=True)
        cloud.printed(
            "from memories.pipeline.vendor_calls import circuit_breaker; circuit_breaker.reset('fal_whisperx')"
        )
