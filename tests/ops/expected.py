"""What somebody who follows a page must have seen on the way and at its end, for ``test_runbooks``."""

from __future__ import annotations

NO_ALERT = r"Alertname  Starts At  Summary  State +\n*\Z"
"""``amtool`` knows of no such alert."""
WOKEN = r"\d+ runs sent again, .* oldest unfinished run: \d+ s old"

DONE: dict[str, tuple[str, ...]] = {
    "AdmissionClosed": (r'reason="disk_nearly_full"', r'reason="queue_too_old"', r'"admission"', r"Use%"),
    "ApiErrors": (r'"status": "ok"', r"ok   database", r"openai: not called since", r'"request_id": .*Traceback'),
    "AudioFailed": (r"openai: not called since", r"server_ended", r"Killed process", WOKEN),
    "DeadLetters": (
        r"given up in structure after 8 workers",
        r"1 dead letters",
        r"Run \d+: reprocess of lived/",
        r"reincarnated worker",
        r"reclaimed",
        r"Killed process",
        r"-> run \d+",
    ),
    "DiskNearlyFull": (r"Use%", r"/journal\n", r'state="open"\} => \d', r'state="released"\} => \d', WOKEN),
    "ErasureOpen": (
        r"\('memory', 'lived', 'gone', \d+, \{'audio': 'x'\}\)",
        r"ok   audio",
        r"1 taken up",
        r"still there: ",
    ),
    "ErrorBudgetBurnFast": (
        r"omi:runs_failed:ratio1h => 0\.\d",
        r"[1-9]\d* of them not well",
        r"worker_died\. See the attempts",
    ),
    "ErrorBudgetBurnSlow": (r"[1-9]\d* of them not well", r"openai: upstream_error", r"Run \d+: reprocess of lived/"),
    "FiguresBehind": (
        r'rows="calls"\} => 0 ',
        r"housekeeping_failed",
        WOKEN,
        r'state="waiting"\} => 1 ',
        r"Unfinished: .*1 waiting",
        r"openai: not called since",
        r"[1-9]\d* of them not well",
    ),
    "FiguresUnreadable": (r'"database": \{"ok": true', r"active \(running\)", r"Use%", r"count \| state", WOKEN),
    "HostClockWrong": (
        r"omi_clock_behind_seconds\{.*\} => ",
        r"host-late: lives, seen \d+ s ago, clock \+12 s behind",
        r"NTP service: inactive",
    ),
    "HostSilent": (
        r"host-gone: silent, seen 5\d\d s ago, 1 open \(30\.0 s\)",
        r"session_recovered",
        r"journal_handed_over",
        r"host-gone would be lost:.* 1 open \(30\.0 s\)",
        r"host-gone is lost: 1 sessions ended",
    ),
    "HostsNotCounted": (r"the only host \(OMI_HOSTS=1\)", r"System check identified", r"still there: "),
    "JournalNeglected": (
        r'omi_journals\{.*state="open"\} => \d',
        r'"session": "orphan-session".*"received": 2\.0.*session_recovered',
        r"session_not_recovered",
        r"ok   documents",
        r" journal\n",
    ),
    "JournalsNotHandedOver": (r"the only host \(OMI_HOSTS=1\)", r"ok   documents", r"journal_handed_over"),
    "JournalUnsynced": (r"Use%", r'what="sync"\} => 0 ', r"Remounting filesystem read-only"),
    "LeasesLost": (r"reincarnated worker", r"worker_hangs", r"Killed process", r"Unfinished: .*1 waiting"),
    "MemoriesOverdue": (r'outcome="success"', r"Unfinished: .*1 waiting", r"openai: not called since", WOKEN),
    "MemorySuccessLow": (
        r'outcome="timeout"',
        r"[1-9]\d* of them not well",
        r"worker_died\. See the attempts",
        r"See one: manage\.py explain ",
        r"Run \d+: reprocess of lived/",
        r"openai: not called since",
        r"a postprocess run .* Nothing is done or changed now",
        r": run \d+ \(postprocess\) ",
    ),
    "MetricsMissing": (
        r'up\{.*job="omi"\} => 1',
        r'"activeTargets"',
        r"# HELP ",
        r"is valid prometheus config",
        r"Watchdog .* active",
        r"alertmanager\.yml'  SUCCESS",
    ),
    "MirrorDrift": (r"row_stale +memories +early \S+ language", r"1 differences", r"1 repaired", r"no differences"),
    "NoMemoryFinished": (
        r"Unfinished: .*1 waiting",
        r"worker_died\. See the attempts",
        r"openai: not called since",
        WOKEN,
    ),
    "OfflineBatchesStuck": (
        r"sync_gave_up  lived  failed",
        r"sync_batch_failed",
        r"0 unfinished, 1 failed",
        r"-> queued",
    ),
    "OldestRunTooOld": (
        r"run \d+  7\d\d\d s old  reprocess  waiting at structure, due ",
        r"Run \d+: reprocess of early/",
        r"ok   database",
        r"openai: not called since",
        r"oldest unfinished run: 7\d\d\d s old",
    ),
    "QueueNotTaken": (r"\{\} => [1-9]", r"\d queued", r"\d+ s old  reprocess  queued at .*waits/"),
    "ScheduleFails": (
        r'schedule="housekeeping/audio"\} => [1-9]',
        r"housekeeping', 'memories.pipeline.tasks.housekeeping'",
        r"failures",
        r"housekeeping_failed",
        r"ok   audio",
        r"done \{'sessions': \d",
    ),
    "ServerDown": (r"\(7\) Failed to connect", r"inactive \(dead\)", r"daphne", WOKEN),
    "VendorBreakerOpen": (
        r"openai: not called since",
        r'outcome="success", vendor="openai"',
        r"ok   openai: .* takes connections",
        r"openai is called again",
    ),
    "VendorBudgetLow": (r'vendor="openai"\} => 0\.00\d', r'vendor="openai"\} => 100 ', r'vendor="deepgram"\} => 300 '),
    "VendorCallsFail": (
        r'operation="structure", outcome="success", vendor="openai"',
        r"with openai: upstream_error",
        r"ok   backend structurer: gpt-4o",
        r"a postprocess run .* Nothing is done or changed now",
        r": run \d+ \(postprocess\) ",
    ),
    "VendorQuotaExhausted": (r"openai: not called since", r'vendor="openai"\} => 0\.00\d', r"openai is called again"),
    "Watchdog": (r'ALERTS\{.*alertname="Watchdog".* => 1', r"Watchdog .* active", r"is valid prometheus config"),
    "WebhooksNotArriving": (r"Unfinished: ", r"webhook_delivered", r"webhook_failed", r"ok   database"),
    "WorkersSilent": (r"ok   database", r"inactive \(dead\)", r"run_finished", r"Killed process", WOKEN),
}
"""By page, the part "What to do"."""

OVER: dict[str, tuple[str, ...]] = {
    "AdmissionClosed": (r"\{\} => 0 ",),
    "DeadLetters": (r"0 dead letters", r"\{\} => 0 "),
    "DiskNearlyFull": (r"\} => 0\.\d",),
    "ErasureOpen": (r"\{\} => 0 ",),
    "ErrorBudgetBurnFast": (r"omi:runs_failed:ratio5m => ",),
    "ErrorBudgetBurnSlow": (r"omi:runs_failed:ratio6h => ",),
    "FiguresBehind": (r"\{\} => 0 ", NO_ALERT),
    "FiguresUnreadable": (r"\} => 1 ", NO_ALERT),
    "HostClockWrong": (r"host-late: lives, seen \d+ s ago\n", r"\{\} => 0 "),
    "HostSilent": (r"host-gone: lost", r"host-here \(this host\): lives", r"\{\} => 0 ", NO_ALERT),
    "HostsNotCounted": (r"\{\} => 0 ", NO_ALERT),
    "JournalNeglected": (r"\} => \d", NO_ALERT),
    "JournalUnsynced": (r"\} => 0 ", NO_ALERT),
    "JournalsNotHandedOver": (r"\{\} => 0 ", NO_ALERT),
    "LeasesLost": (r"\{\} => 0 ", NO_ALERT),
    "MetricsMissing": (r"\{\} => 1 ",),
    "MirrorDrift": (r"no differences",),
    "NoMemoryFinished": (r"\{\} => [1-9]",),
    "OfflineBatchesStuck": (r"\d unfinished, 0 failed",),
    "OldestRunTooOld": (r"\{\} => \d{1,3}(\.\d+)? @",),
    "QueueNotTaken": (r"\{\} => 0 ",),
    "ServerDown": (r'up\{.*job="omi"\} => 1 ',),
    "VendorBreakerOpen": (r"Every vendor is called",),
    "VendorBudgetLow": (r'vendor="openai"\} => 0\.0000', NO_ALERT),
    "VendorCallsFail": (r'outcome="success", vendor="openai"', NO_ALERT),
    "VendorQuotaExhausted": (r"Every vendor is called", r'outcome="success", vendor="openai"'),
    "Watchdog": (r"Watchdog .* active",),
    "WebhooksNotArriving": (r"\{\} => 0 ",),
    "WorkersSilent": (r"\{\} => \d",),
}
"""The part that says how it is seen to be over. Figures of pages that lack here look back for longer than a test."""

NOT_SEEDED: dict[str, str] = {
    "AdmissionClosed": "a door shuts for a disk that is full, a database that is slow, or work of six hours",
    "ApiErrors": "views do not fail by themselves: the log's line of one that did is made up",
    "AudioFailed": "ten minutes of audio that no vendor heard",
    "DiskNearlyFull": "it needs a disk of its own: tests/omi/test_small_disk.py",
    "FiguresBehind": "ten thousand runs that are in no total: tests/ops/test_scrape_cost.py has as many in small",
    "FiguresUnreadable": "the database of this deployment is a file, which is never away",
    "HostsNotCounted": "the database of this deployment is a file: tests/omi/test_hosts.py has two hosts on one",
    "JournalsNotHandedOver": "half an hour without the audio store: tests/transcription/test_hosts.py has less",
    "JournalUnsynced": "a disk that refuses: tests/transcription/test_journal_faults.py has one",
    "LeasesLost": "workers would have to be killed again and again for longer than a lease",
    "MetricsMissing": "Prometheus would have to forget the server for minutes",
    "VendorBudgetLow": "80 dollars at list prices",
    "VendorCallsFail": "a key that is refused, of which test_page_arrives.py has one",
    "Watchdog": "it fires always; that it is missed is seen by nobody in here",
    "WebhooksNotArriving": "a message that is due for an hour is taken at once by the worker that lives",
}
"""Pages whose condition is not there when they are tried, and why. Their commands run, but stop no process."""

MAY_END: dict[str, dict[str, int]] = {
    "ServerDown": {
        'curl -sS -m 5 "$OMI_URL/healthz"': 7,
        'curl -sS -m 10 "$OMI_URL/readyz"': 7,
        'curl -sS -m 10 -o /dev/null -w "%{http_code}" "$OMI_URL/metrics"': 7,
        "systemctl status omi-web": 3,
    },
    "WorkersSilent": {"systemctl status omi-worker": 3},
}
"""Exit statuses beside 0 with which a command may end, where the page says so."""
