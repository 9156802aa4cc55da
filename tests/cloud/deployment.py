"""A deployment as one runs it in the cloud, with stand-ins for what cannot be had on one machine."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import httpx
from django.conf import settings

from demo.app import App
from demo.servers import Installation
from demo.vendors.server import VendorServer
from demo.vendors.state import KEY
from omi.accounts import tokens
from tests.cloud.outages import Firestore, Redis
from tests.support.interpreter import Interpreter

PROJECT = "demo-omi-cloud"
BUCKET = "omi-audio"


@dataclass(frozen=True)
class Deployment:
    """Web and worker processes, and every store and vendor behind them, each reached past the project's own code."""

    running: Installation
    vendors: VendorServer
    emulator: Firestore
    redis: Redis
    firestore: Any
    gcs_url: str
    interpreter: Interpreter

    def printed(self, code: str) -> str:
        """What code prints in the installation: an interpreter that is there already, not a process for each."""
        return self.interpreter.printed(code, timeout=120)

    def sign_in(self, name: str) -> tuple[str, App]:
        """A uid that nobody else has, and its app."""
        uid = f"{name}-{uuid.uuid4().hex[:8]}"
        return uid, App(self.running.url, tokens.mint(uid))

    def documents_of(self, uid: str) -> dict[str, dict[str, Any]]:
        """Every document of a user by its path, read with Google's client."""
        found: dict[str, dict[str, Any]] = {}
        todo = [self.firestore.document(f"users/{uid}")]
        while todo:
            reference = todo.pop()
            snapshot = reference.get()
            if snapshot.exists:
                found[reference.path] = snapshot.to_dict()
            todo += [item for group in reference.collections() for item in group.list_documents()]
        return found

    def objects(self) -> dict[str, int]:
        """Names and sizes in the bucket."""
        answer = httpx.get(f"{self.gcs_url}/storage/v1/b/{BUCKET}/o", timeout=10)
        answer.raise_for_status()
        return {item["name"]: int(item["size"]) for item in answer.json().get("items", [])}

    def vectors(self, ids: list[str]) -> dict[str, dict[str, Any]]:
        """What the simulated Pinecone holds under these ids."""
        answer = httpx.get(
            f"{self.vendors.urls['PINECONE_INDEX_HOST']}/vectors/fetch",
            params=[("namespace", "ns1"), *(("ids", identity) for identity in ids)],
            headers={"Api-Key": self.vendors.urls["PINECONE_API_KEY"]},
            timeout=10,
        )
        answer.raise_for_status()
        found: dict[str, dict[str, Any]] = answer.json()["vectors"]
        return found


def environment(
    *, vendors: VendorServer, emulator: Firestore, redis: Redis, database_url: str, gcs_url: str, port: int
) -> dict[str, str]:
    """docs/settings.md, as a deployment sets it."""
    return {
        **{name: value for name, value in vendors.urls.items() if name != "SIM_URL"},
        "SECRET_KEY": settings.SECRET_KEY,  # of this test run, so that tokens can be minted here
        "DATABASE_URL": database_url,
        "REDIS_URL": redis.url,
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "FIRESTORE_EMULATOR_HOST": emulator.host,
        "STORAGE_EMULATOR_HOST": gcs_url,
        "OMI_AUTH": "dev",
        "OMI_DOCUMENTS": "firestore",
        "OMI_VECTORS": "pinecone",
        "OMI_AUDIO": "gcs",
        "OMI_AUDIO_BUCKET": BUCKET,
        "OMI_LIVE": "deepgram,soniox,speechmatics",
        "OMI_LIVE_MODE": "parallel",
        "OMI_CONSENSUS": "true",
        "OMI_PRERECORDED": "fal_whisperx,deepgram,soniox",
        "OMI_STRUCTURER": "openai",
        "OMI_EMBEDDER": "openai",
        "OMI_EMOTIONS": "hume",
        "OMI_PUSH": "fcm",
        "FAL_WEBHOOK_URL": f"http://127.0.0.1:{port}/v1/vendors/fal/webhook",
        "FCM_TOKEN": KEY,
        "DJANGO_SETTINGS_MODULE": "omi.settings",
        "OMI_LOG_LEVEL": "INFO",
    }
