"""``python -m demo.vendors --port 0 --truth FILE``: run the simulated vendors, print their settings as a JSON line."""

from __future__ import annotations

import argparse
import json
import signal
import threading
from typing import Any

from demo.vendors.server import VendorServer
from demo.vendors.state import VENDORS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo.vendors", description="Run the simulated vendors.")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--truth", action="append", default=[], help="truth file (may be repeated)")
    parser.add_argument("--vendor", action="append", choices=VENDORS, help="only this one (may be repeated)")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on every vendor timer")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=JSON", help="e.g. fal_seconds=2")
    parser.add_argument("--export", action="store_true", help="print NAME=value lines instead of JSON")
    args = parser.parse_args()
    options: dict[str, Any] = {k: json.loads(v) for k, _, v in (o.partition("=") for o in args.option)}
    vendors = tuple(args.vendor) if args.vendor else VENDORS
    server = VendorServer(scale=args.scale, vendors=vendors, port=args.port, **options)
    for truth in args.truth:
        server.library.load(truth)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with server:
        lines = [f"{k}={v}" for k, v in server.urls.items()] if args.export else [json.dumps(server.urls)]
        print("\n".join(lines), flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
