"""``manage.py hosts``: the hosts of this deployment and what lies on them; ``--lost ID`` gives one up."""

from __future__ import annotations

from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from django.db.models import Count, Sum

from omi.core import clock
from omi.core.host import host_id, several
from transcription.hosts import heartbeats
from transcription.hosts.models import Host, HostJournal, HostRequest
from transcription.session import lost_hosts


class Command(BaseCommand):
    help = "List the hosts of this deployment and the journals that lie on them. --lost ID gives one up for good."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--lost", metavar="ID", help="declare a host lost: its sessions end, its seconds failed")
        parser.add_argument("--dry-run", action="store_true", help="with --lost: only say what would be lost")

    def handle(self, **options: Any) -> None:
        if not several():
            others = heartbeats.uncounted()
            told = f", but {', '.join(others)} live on this database, too: set OMI_HOSTS" if others else ""
            self.stdout.write(f"{host_id()}: the only host (OMI_HOSTS=1){told}")
            return
        if options["lost"]:
            self._lose(options["lost"], dry=options["dry_run"])
            return
        now = clock.now()
        for host in Host.objects.order_by("id"):
            age = max(0.0, (now - host.seen_at).total_seconds())
            state = "lost" if host.lost_at else "silent" if heartbeats.silent(host, now) else "lives"
            wrong = f", clock {host.clock_behind:+.0f} s behind" if abs(host.clock_behind) >= 1 else ""
            here = " (this host)" if host.pk == host_id() else ""
            owed = HostRequest.objects.filter(host=host.pk, done_at__isnull=True).count()
            asked = f", {owed} requests not carried out" if owed else ""
            self.stdout.write(f"{host.pk}{here}: {state}, seen {age:.0f} s ago{wrong}{asked}{self._journals(host.pk)}")

    def _journals(self, host: str) -> str:
        counted = HostJournal.objects.filter(host=host).values("state").annotate(n=Count("pk"), s=Sum("received"))
        return "".join(f", {row['n']} {row['state']} ({row['s']:.1f} s)" for row in counted.order_by("state"))

    def _lose(self, host: str, *, dry: bool) -> None:
        there = HostJournal.objects.filter(host=host, state__in=heartbeats.HERE)
        if dry:
            self.stdout.write(f"{host} would be lost:{self._journals(host) or ' nothing lies on it'}")
            return
        try:
            done = lost_hosts.declare(host)
        except lost_hosts.UnknownHost:
            raise CommandError(f"There is no other host {host!r}; see `manage.py hosts`.") from None
        if left := there.count():
            raise CommandError(f"{done} sessions ended, {left} not yet: a store is away; every heartbeat tries again.")
        self.stdout.write(f"{host} is lost: {done} sessions ended, what was not transcribed counts as failed")
