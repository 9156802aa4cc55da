"""Figures of the hosts, read from rows (a handful): who is silent, what lies on their disks, whose clock is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from prometheus_client.core import GaugeMetricFamily

from omi.core import clock
from omi.core.host import several
from transcription.hosts.heartbeats import HERE, SILENT_SECONDS, uncounted
from transcription.hosts.models import Host, HostJournal

MOST: Final = 10_000
"""A scrape counts no further than this."""


def families() -> Iterable[Any]:
    """Every family is told at every scrape; on a single host they are 0, and only PostgreSQL is asked whether another
    lives."""
    living = silent = waiting = 0
    not_counted = len(uncounted())
    if several():
        before = clock.now() - timedelta(seconds=SILENT_SECONDS)
        hosts = {host.pk: host.seen_at < before for host in Host.objects.filter(lost_at__isnull=True)}
        gone = [name for name, is_silent in hosts.items() if is_silent]
        living, silent = len(hosts) - len(gone), len(gone)
        if gone:
            waiting = HostJournal.objects.filter(host__in=gone, state__in=HERE)[:MOST].count()
    hosts_of = GaugeMetricFamily("omi_hosts", "Hosts by whether they were heard of lately.", labels=["state"])
    hosts_of.add_metric(["living"], living)
    hosts_of.add_metric(["silent"], silent)
    yield hosts_of
    yield GaugeMetricFamily(
        "omi_hosts_not_counted", "Other hosts that live although OMI_HOSTS says that there are none.", not_counted
    )
    yield GaugeMetricFamily("omi_hosts_journals_waiting", "Journals on disks of silent hosts, 10,000 at most.", waiting)
    yield GaugeMetricFamily(
        "omi_clock_behind_seconds", "Seconds that this host's clock is behind the database's.", clock.behind()
    )
