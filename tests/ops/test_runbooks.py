"""Every command of every runbook runs, in the order of the page, against a deployment that has what the page is about.

Blocks of ``sh`` are the reader's, as the user that the servers run as. Blocks of ``console`` are root's on a host with
systemd: stand-ins for its programs come first on PATH (``machine``), stop and start the deployment's real processes,
and print their real logs.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import django_q.cluster
import httpx
import pytest

from tests.ops import bad_days, bad_watch, stand_ins
from tests.ops.deployment import Deployment, until
from tests.ops.expected import DONE, MAY_END, NOT_SEEDED, OVER
from tests.ops.machine import WEB, WORKER, Machine, machine
from tests.ops.watching import Watch
from tests.support.interpreter import Interpreter

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(page for page in (ROOT / "docs" / "runbooks").glob("*.md") if page.stem != "README")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
IS_OVER = "## How you see that it is over"
OF_ROOT = {*stand_ins.STAND_INS, "df", "grep"}
"""Programs that a ``console`` block may use: nothing else is run in root's name."""
SEVERAL_HOSTS = ("HostSilent", "HostClockWrong")
VENDOR, OWNER = "openai", "lived"


@dataclass(frozen=True)
class Command:
    """One line of a page. ``root``: in a ``console`` block; ``over``: under ``IS_OVER``."""

    line: str
    root: bool
    over: bool


def commands(page: Path) -> list[Command]:
    text = page.read_text()
    where = text.index(IS_OVER)
    found = []
    for block in BLOCK.finditer(text):
        for line in block[2].splitlines():
            found.append(Command(line.removeprefix("# "), block[1] == "console", block.start() > where))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_holds_commands_to_try_and_commands_of_the_machine(page: Path) -> None:
    blocks = BLOCK.findall(page.read_text())
    assert {language for language, _ in blocks} <= {"sh", "console"}
    assert len([text for language, text in blocks if language == "sh"]) >= 2
    for text in [text for language, text in blocks if language == "console"]:
        assert all(line.startswith("# ") for line in text.splitlines()), text
    assert any(command.over for command in commands(page))
    for command in commands(page):
        if command.root:
            programs = {shlex.split(part)[0] for part in pipeline(command.line)}
            assert programs <= OF_ROOT, command.line
            # Anything else that sudo starts would run for real, and without the settings of the servers.
            assert "sudo" not in programs or command.line.startswith("sudo -u postgres psql "), command.line


def pipeline(line: str) -> list[str]:
    """The commands that are joined by ``|`` outside of quotes."""
    parts = re.split(r"\|(?=(?:[^\"']|\"[^\"]*\"|'[^']*')*$)", line)
    return [part.strip() for part in parts]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_event_that_a_page_looks_for_is_logged_by_the_product(page: Path) -> None:
    events = bad_days.logged() | {bad_days.OF_DJANGO_Q, "Traceback (most recent call last)"}
    for command in commands(page):
        first, *rest = pipeline(command.line)
        if first.startswith("journalctl -u"):
            for wanted in [wanted for part in rest for wanted in looked_for(shlex.split(part))]:
                assert any(wanted in event for event in events), f"nothing logs {wanted!r}: {command.line}"


def looked_for(words: list[str]) -> list[str]:
    """What a ``grep`` looks for."""
    assert words[0] == "grep"
    if "-e" in words:
        return [words[n + 1] for n, word in enumerate(words) if word == "-e"]
    return words[-1].split("|") if "-E" in words else words[-1:]


def test_the_event_of_django_q_is_its_own() -> None:
    assert bad_days.OF_DJANGO_Q in Path(django_q.cluster.__file__).read_text()


def test_the_table_of_variables_names_what_the_pages_use() -> None:
    text = (ROOT / "docs" / "runbooks" / "README.md").read_text()
    told = {
        name for row in re.findall(r"^\| (`[A-Z].*?) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    used = {name for page in PAGES for command in commands(page) for name in re.findall(r"\$(\w+)", command.line)}
    assert used - told == set()


def test_every_page_says_what_is_seen_on_the_way() -> None:
    pages = {page.stem for page in PAGES}
    assert pages - set(DONE) == set()
    assert all(
        line in {command.line for command in commands(page)} for page in PAGES for line in MAY_END.get(page.stem, ())
    )


def test_a_page_has_what_it_is_about_or_says_why_not() -> None:
    assert {page.stem for page in PAGES} - {*SEEDED, *SCENES, *NOT_SEEDED} == set()


def test_the_statements_of_the_pages_are_postgresql(postgres_url: str) -> None:
    asked = [words for page in PAGES for command in commands(page) if "psql" in (words := shlex.split(command.line))]
    assert asked
    for words in asked:
        subprocess.run(["psql", postgres_url, *words[words.index("psql") + 1 :]], check=True, capture_output=True)


@pytest.fixture(scope="module")
def python(lived_in: Deployment) -> Iterator[Interpreter]:
    """Runs the pages' ``manage.py`` commands in the deployment, each in a process of its own."""
    started = Interpreter(lived_in.installation.environment)
    yield started
    started.printed(bad_days.CLEAR)
    started.close()


@pytest.fixture(scope="module")
def one_of_several(lived_in: Deployment) -> Iterator[Interpreter]:
    """The same on a host of a deployment that has three."""
    named = {"OMI_HOSTS": "3", "OMI_HOST_ID": "host-here"}
    started = Interpreter({**lived_in.installation.environment, **named})
    yield started
    started.close()


@pytest.fixture(scope="session")
def host(lived_in: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Of the whole session: what it started anew serves the tests that come after."""
    past = {name: bad_days.past() for name in (WEB, WORKER)}
    with machine(tmp_path_factory.mktemp("machine"), lived_in.installation, past) as found:
        yield found


@pytest.fixture(scope="module")
def environment(
    lived_in: Deployment, watched: Watch, python: Interpreter, promtool: str, amtool: str
) -> dict[str, str]:
    """What a page's reader has set."""
    if shutil.which("curl") is None:
        pytest.fail("curl is needed by the runbooks")
    return {
        **os.environ,
        **lived_in.installation.environment,
        "OMI_URL": lived_in.url,
        "OMI_PUBLIC_URL": watched.door.url,
        "CURL_CA_BUNDLE": str(watched.door.pem),
        "PROMETHEUS": watched.prometheus,
        "ALERTMANAGER": watched.alertmanager,
        "BLACKBOX": watched.blackbox or "",
        "VENDOR": VENDOR,
        "OWNER": OWNER,
        "HOST": bad_days.GONE,
        "OPERATOR": "somebody",
        "SCHEDULE": "housekeeping",
        "PROMETHEUS_FILE": "ops/prometheus/prometheus.yml",
        "ALERTMANAGER_FILE": "ops/alertmanager/alertmanager.yml",
    }


@dataclass(frozen=True)
class Reader:
    """Somebody who follows a page with the shells of the servers' user and of root."""

    page: str
    environment: dict[str, str]
    python: Interpreter
    host: Machine
    watched: Watch
    told: dict[str, str]

    def follow(self, wanted: list[Command]) -> str:
        """Run the commands in order; what they said."""
        return "\n".join(self._run(command) for command in wanted)

    def _run(self, command: Command) -> str:
        if command.root:
            still = {stand_ins.STAND_STILL: "1"} if self.page in NOT_SEEDED else {}
            done = in_shell(command.line, {**self.host.environment, **still})
            may_end = MAY_END.get(self.page, {}).get(command.line, 0)
            assert done.returncode in (0, may_end), f"{command.line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
            if re.match(r"systemctl (re)?start ", command.line):
                for unit in {WEB, WORKER}.intersection(command.line.split()):
                    self.host.ready(unit)
                    seen_by(self.watched, "memory_pipeline_metrics_up == 1")
            return f"{done.stdout}{done.stderr}"
        if command.line not in self.told:
            said = self._own(command.line)
            if CHANGES.search(command.line):
                self.forget_looks()
                return said
            self.told[command.line] = said
        return self.told[command.line]

    def _own(self, line: str) -> str:
        own = MANAGE.fullmatch(line)
        done = in_shell(f"printf '%s\\0' {own[1]}" if own else line, self.environment)
        if own and done.returncode == 0:
            done = self.python.run(*done.stdout.rstrip("\0").split("\0"), timeout=120)
        may_end = MAY_END.get(self.page, {}).get(line, 0)
        fine = done.returncode in (0, may_end) or (own and own[2])
        assert fine, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        assert "Traceback (most recent call last)" not in done.stderr, done.stderr[-2000:]
        return f"{done.stdout}{done.stderr}"

    def forget_looks(self) -> None:
        """What ``manage.py`` says of the database may be another thing now; what the programs around it say is not."""
        for line in [line for line in self.told if re.search(r"breakers|deadletters|offline|mirror|hosts", line)]:
            del self.told[line]


CHANGES = re.compile(r"--(close|retry|rebuild|lost)\b|upkeep|reconcile")
"""A command that changes what the others see: then all are asked again."""
MANAGE = re.compile(r"\.venv/bin/python (manage\.py [^|>&]+?)( \|\| true)?")
"""A command of the product's own: the shell reads its words, and it runs without the second of Django's start."""


def in_shell(line: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run one line as a shell does that stops at the first failure."""
    return subprocess.run(
        ["sh", "-eu", "-c", line],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


_told: dict[str, str] = {}
"""What a command said: several pages begin with the same look, which takes seconds."""


@pytest.mark.process
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_runs(
    page: Path,
    lived_in: Deployment,
    watched: Watch,
    environment: dict[str, str],
    python: Interpreter,
    one_of_several: Interpreter,
    host: Machine,
) -> None:
    told = {} if page.stem in SCENES else _told
    given_up, waits = bad_days.seeded(python)  # an earlier page may have mended it
    environment = {**environment, "MEMORY": waits if page.stem == "OldestRunTooOld" else given_up}
    django = one_of_several if page.stem in SEVERAL_HOSTS else python
    reader = Reader(page.stem, environment, django, host, watched, told)
    before, settle = SCENES.get(page.stem, (nothing, nothing))
    everything = commands(page)
    reader.forget_looks()
    scene = Scene(lived_in, watched, python, host)
    before(scene)
    done = reader.follow([command for command in everything if not command.over])
    settle(scene)
    if settle is not nothing:
        told.clear()
    over = reader.follow([command for command in everything if command.over])
    if page.stem in SEVERAL_HOSTS:
        python.printed(bad_days.NO_HOSTS)
    for said, expected in ((done, DONE), (over, OVER)):
        for pattern in expected.get(page.stem, ()):
            assert re.search(pattern, said), f"{page.stem} does not show {pattern!r}:\n{said[-3000:]}"


@dataclass(frozen=True)
class Scene:
    deployment: Deployment
    watched: Watch
    python: Interpreter
    host: Machine


def nothing(scene: Scene) -> None:
    """The deployment is as it is."""


def watchdog_beats(scene: Scene) -> None:
    """Alertmanager has it."""
    url = f"{scene.watched.alertmanager}/api/v2/alerts"
    until(lambda: httpx.get(url, params={"filter": 'alertname="Watchdog"'}).json(), 60, "Watchdog does not arrive")


def server_is_down(scene: Scene) -> None:
    scene.host.systemctl("stop", WEB)
    seen('up{job="omi"} == 0')(scene)


def seen(expression: str) -> Callable[[Scene], None]:
    """Prometheus sees it, from figures that are some seconds old."""

    return lambda scene: seen_by(scene.watched, expression)


def seen_by(watched: Watch, expression: str) -> None:
    until(lambda: watched.query(expression), 60, f"Prometheus does not see {expression}")


def worker_is_down(scene: Scene) -> None:
    scene.host.systemctl("stop", WORKER)


def work_waits(scene: Scene) -> None:
    worker_is_down(scene)
    scene.deployment.app("waits").create_memory()
    seen("max(memory_queue_due) > 0")(scene)


def worker_is_up(scene: Scene) -> None:
    scene.host.systemctl("start", WORKER)
    seen("max(memory_queue_due) == 0")(scene)


def session_is_left(scene: Scene) -> None:
    bad_days.orphaned(scene.python)
    seen("omi_journals")(scene)  # an earlier page may have started the server anew


def hosts_are_three(scene: Scene) -> None:
    scene.python.printed(bad_days.HOSTS)


def clock_is_right(scene: Scene) -> None:
    scene.python.printed(bad_days.CLOCK_IS_RIGHT)


def run_has_ended(scene: Scene) -> None:
    scene.python.printed(bad_days.IT_HAS_ENDED)
    seen("max(memory_postprocessing_oldest_seconds) < 3600")(scene)


SCENES: dict[str, tuple[Callable[[Scene], None], Callable[[Scene], None]]] = {
    "BackupOld": (
        seen('time() - omi_backup_last_timestamp_seconds{by="timer"} > 36 * 3600'),
        seen("absent(omi_backup_last_timestamp_seconds)"),
    ),
    "CertificateEnds": (lambda scene: bad_watch.door_is_open(scene.watched), nothing),
    "DeadLetters": (
        seen("max(memory_postprocessing_dead_letters) > 0"),
        seen("max(memory_postprocessing_dead_letters) == 0"),
    ),
    "ErasureOpen": (seen("max(omi_erasures_open) > 0"), seen("max(omi_erasures_open) == 0")),
    "HostClockWrong": (hosts_are_three, clock_is_right),
    "HostSilent": (hosts_are_three, nothing),
    "JournalNeglected": (session_is_left, nothing),
    "OldestRunTooOld": (seen("max(memory_postprocessing_oldest_seconds) > 3600"), run_has_ended),
    "MetricsMissing": (watchdog_beats, nothing),
    "MonitoringDown": (lambda scene: bad_watch.door_is_open(scene.watched), nothing),
    "PagesNotDelivered": (
        lambda scene: bad_watch.key_is_wrong(scene.watched),
        lambda scene: bad_watch.key_is_right(scene.watched),
    ),
    "QueueNotTaken": (work_waits, worker_is_up),
    "RecapsGivenUp": (seen("max(omi_recaps_given_up) > 0"), seen("max(omi_recaps_given_up) == 0")),
    "RulesFail": (
        lambda scene: bad_watch.rule_fails(scene.watched),
        lambda scene: bad_watch.rule_is_gone(scene.watched),
    ),
    "ServerDown": (server_is_down, seen('up{job="omi"} == 1')),
    "Watchdog": (watchdog_beats, nothing),
    "WayInClosed": (
        lambda scene: bad_watch.door_is_shut(scene.watched),
        lambda scene: bad_watch.door_is_open(scene.watched),
    ),
    "WorkersSilent": (worker_is_down, nothing),
}
"""What is done before a page is opened, and between what it has somebody do and how that is seen to be over."""
SEEDED = {
    "ErrorBudgetBurnFast", "ErrorBudgetBurnSlow", "MemoriesOverdue", "MemorySuccessLow", "MirrorDrift",
    "NoMemoryFinished", "OfflineBatchesStuck", "ScheduleFails", "VendorBreakerOpen", "VendorQuotaExhausted",
}  # fmt: skip
"""Pages about what ``bad_days.SEED`` has: runs that failed and wait, an old row, a batch, an open breaker."""
