"""``manage.py breakers``: which vendors are not called at the moment and why; and calling one again at once."""

from __future__ import annotations

from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from memories.pipeline.models import VendorBreaker
from memories.pipeline.vendor_calls import circuit_breaker


class Command(BaseCommand):
    help = "List the vendors that are not called at the moment; --close one whose account was topped up."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--close", metavar="VENDOR", action="append", default=[], help="call it again from now on")

    def handle(self, **options: Any) -> None:
        for vendor in options["close"]:
            if not circuit_breaker.reset(vendor):
                raise CommandError(f"{vendor} is being called: there is nothing to close.")
            self.stdout.write(f"{vendor} is called again from now on.")
        rows = list(VendorBreaker.objects.filter(open=True).order_by("vendor"))
        for row in rows:
            since = f"{row.opened_at:%Y-%m-%d %H:%M:%S}" if row.opened_at else "-"
            again = f"{row.retry_at:%H:%M:%S}" if row.retry_at else "-"
            self.stdout.write(f"{row.vendor}: not called since {since} UTC ({row.reason}); one try at {again}")
        if not rows:
            self.stdout.write("Every vendor is called.")
        elif not options["close"]:
            self.stdout.write("Once a vendor can work again: manage.py breakers --close VENDOR")
