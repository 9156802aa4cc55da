from __future__ import annotations

from tests.support.vendor_fixtures import silence, talk, vendor_server, vendors

__all__ = ["silence", "talk", "vendor_server", "vendors"]
