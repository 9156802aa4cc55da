"""PostgreSQL, Google's Firestore emulator and a simulated Pinecone index for ``bench.stores --on``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from demo.vendors.server import VendorServer
from tests.support.processes import free_port
from tests.support.services import firestore_emulator, postgres_cluster


@contextlib.contextmanager
def services(kind: str, folder: str) -> Iterator[dict[str, str]]:
    """The environment of a deployment on them. The emulators stand for the protocol, not for the cloud's speed."""
    with contextlib.ExitStack() as stack:
        home = Path(folder) / "services"
        (home / "postgres").mkdir(parents=True)
        environment = {"DATABASE_URL": stack.enter_context(postgres_cluster())}
        if kind == "cloud":
            port = free_port()
            (home / "firestore").mkdir()
            stack.enter_context(firestore_emulator(home / "firestore", port))
            server = stack.enter_context(VendorServer(vendors=("pinecone",), pinecone_delay=0.0))
            environment |= {name: value for name, value in server.urls.items() if name.startswith("PINECONE")}
            environment.setdefault("PINECONE_API_KEY", "sim-key")
            environment |= {
                "FIRESTORE_EMULATOR_HOST": f"127.0.0.1:{port}",
                "GOOGLE_CLOUD_PROJECT": "demo-bench",
                "OMI_AUTH": "dev",
                "OMI_DOCUMENTS": "firestore",
                "OMI_VECTORS": "pinecone",
            }
        yield environment
