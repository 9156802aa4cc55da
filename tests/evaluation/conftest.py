from __future__ import annotations

from tests.support.vendor_fixtures import talk, vendor_server, vendors

__all__ = ["talk", "vendor_server", "vendors"]
