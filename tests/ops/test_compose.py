"""Containers of one machine: every setting, command, mount and variable in their files exists, and they are shut."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands, load_command_class

ROOT = Path(__file__).resolve().parents[2]
OPS = ROOT / "ops"
COMPOSE = (OPS / "compose.yml").read_text()
CADDYFILE = (OPS / "caddy" / "Caddyfile").read_text()
CONTAINERFILE = (OPS / "Containerfile").read_text()
OWN = ("web", "worker")


def composed() -> dict[str, Any]:
    """The file as a program reads it, anchors resolved."""
    found: dict[str, Any] = yaml.safe_load(COMPOSE)
    return found


def services() -> dict[str, dict[str, Any]]:
    """Every service by name."""
    found: dict[str, dict[str, Any]] = composed()["services"]
    return found


def settings() -> set[str]:
    """Every variable of docs/settings.md."""
    return set(re.findall(r"`([A-Z][A-Z_]{3,})`", (ROOT / "docs" / "settings.md").read_text()))


def instructions() -> list[str]:
    """The lines of the Containerfile, continued ones joined."""
    lines = [line for line in CONTAINERFILE.splitlines() if not line.startswith("#")]
    return [line for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line.strip()]


def check_command(words: list[str]) -> None:
    """Whether ``python manage.py NAME OPTIONS`` can be said."""
    assert words[:2] == ["python", "manage.py"]
    name, *options = words[2:]
    app = get_commands()[name]
    command = load_command_class(app, name) if isinstance(app, str) else app
    command.create_parser("manage.py", name).parse_args(options)


def test_all_that_a_machine_needs_is_there() -> None:
    expected = {"proxy", "web", "worker", "postgres", "redis", "prometheus", "alertmanager", "blackbox", "grafana"}
    assert set(services()) == expected


@pytest.mark.parametrize("name", OWN)
def test_every_setting_of_web_and_worker_is_documented(name: str) -> None:
    for variable in services()[name]["environment"]:
        assert variable.removesuffix("_FILE") in settings(), variable


def test_every_setting_of_the_image_is_documented() -> None:
    said = " ".join(line for line in instructions() if line.startswith("ENV "))
    variables = set(re.findall(r"([A-Z_]+)=", said))
    assert variables - settings() == {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}


def test_every_variable_of_the_operator_is_in_the_readme() -> None:
    page = (OPS / "README.md").read_text()
    for variable in set(re.findall(r"\$\{(\w+)", COMPOSE)) | set(re.findall(r"\{\$(\w+)", CADDYFILE)):
        assert f"| `{variable}` |" in page


def test_every_command_can_be_said() -> None:
    for name in OWN:
        check_command(services()[name]["command"])
    check_command(services()["worker"]["healthcheck"]["test"][1:])
    for words in re.findall(r"python manage\.py [\w\s-]+", " ".join(instructions())):
        check_command(words.split())
    for words in re.findall(r'^CMD \["(python", "manage.*)"\]', CONTAINERFILE, re.MULTILINE):
        check_command(words.split('", "'))


@pytest.mark.parametrize("name", sorted(services()))
def test_a_service_is_asked_for_its_health(name: str) -> None:
    assert services()[name]["healthcheck"]["test"][0] == "CMD"


def test_the_health_of_the_proxy_is_asked_where_it_answers_and_nobody_else_is() -> None:
    """The site of the public name redirects to TLS and to a certificate that a health check does not have."""
    address = services()["proxy"]["healthcheck"]["test"][-1]
    site = re.search(rf"^{re.escape(address.rstrip('/'))} \{{\n(.*?)^\}}", CADDYFILE, re.MULTILINE | re.DOTALL)
    assert site is not None
    assert "bind 127.0.0.1" in site[1]
    assert "respond" in site[1]
    assert not any(str(address.rsplit(":", 1)[1].rstrip("/")) in port for port in services()["proxy"]["ports"])


@pytest.mark.parametrize("name", sorted(services()))
def test_the_log_of_a_service_is_bounded(name: str) -> None:
    assert services()[name]["logging"] == {"driver": "json-file", "options": {"max-size": "20m", "max-file": "5"}}
    assert "the last 100 MB of each service" in (ROOT / "docs" / "privacy.md").read_text()


def test_with_the_journal_every_service_logs_there() -> None:
    beside = yaml.safe_load((OPS / "compose.journald.yml").read_text())
    assert beside == {"services": {name: {"logging": {"driver": "journald"}} for name in services()}}


def test_postgresql_logs_no_words_of_users() -> None:
    """A statement that failed and a key that was there already stand in its log otherwise."""
    command = " ".join(services()["postgres"]["command"])
    for setting, value in (("log_min_error_statement", "panic"), ("log_error_verbosity", "terse")):
        assert f"-c {setting}={value}" in command
        assert f"ALTER SYSTEM SET {setting} = '{value}'" in (OPS / "README.md").read_text()


@pytest.mark.parametrize("name", sorted(services()))
def test_a_service_writes_only_where_it_must_and_gains_no_rights(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert "privileged" not in service


@pytest.mark.parametrize("name", OWN)
def test_web_and_worker_have_no_capabilities_and_share_the_proxys_loopback(name: str) -> None:
    service = services()[name]
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "ports" not in service
    assert service["network_mode"] == "service:proxy"
    assert service["environment"]["OMI_ENVIRONMENT"] == "production"


def test_only_the_proxy_is_open_to_strangers() -> None:
    ports = {name: service["ports"] for name, service in services().items() if "ports" in service}
    assert set(ports) == {"proxy"}
    assert {port for port in ports["proxy"] if not port.startswith("127.0.0.1:")} == {"80:80", "443:443", "443:443/udp"}


def test_no_secret_stands_in_the_file() -> None:
    for service in services().values():
        for variable, value in (service.get("environment") or {}).items():
            if re.search(r"KEY|PASSWORD|TOKEN|DATABASE_URL", variable):
                assert variable.endswith("_FILE")
                assert value.removeprefix("/run/secrets/") in service["secrets"]


def test_secrets_volumes_and_mounts_are_there() -> None:
    page = (OPS / "README.md").read_text()
    whole = composed()
    for service in whole["services"].values():
        for secret in service.get("secrets", []):
            name = secret if isinstance(secret, str) else secret["source"]
            assert f"secrets/{name}" in page
            assert whole["secrets"][name]["file"] == f"./secrets/{name}"
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert (OPS / source).exists() if source.startswith(".") else source in whole["volumes"]


def test_what_waits_for_another_waits_for_its_health() -> None:
    for service in services().values():
        for name, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in services()[name]


def test_grafana_and_prometheus_read_the_files_of_this_folder() -> None:
    assert "./grafana/dashboards:/etc/grafana/dashboards/omi:ro" in services()["grafana"]["volumes"]
    provisioned = yaml.safe_load((OPS / "grafana" / "provisioning" / "dashboards" / "omi.yml").read_text())
    assert provisioned["providers"][0]["options"]["path"] == "/etc/grafana/dashboards/omi"
    key = next(secret for secret in services()["alertmanager"]["secrets"] if isinstance(secret, dict))
    assert f"routing_key_file: {key['target']}" in (OPS / "alertmanager" / "alertmanager.yml").read_text()


def test_the_exporter_of_the_way_in_is_where_prometheus_asks_for_it_and_nobody_else_reaches_it() -> None:
    """Whoever reaches it has it ask any address for him."""
    service = services()["blackbox"]
    assert re.fullmatch(r"prom/blackbox-exporter:v\d+\.\d+\.\d+", service["image"])
    assert service["network_mode"] == services()["prometheus"]["network_mode"] == "service:proxy"
    jobs = yaml.safe_load((OPS / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    [job] = [job for job in jobs if job["job_name"] == "way-in"]
    address = job["relabel_configs"][-1]["replacement"]
    assert f"--web.listen-address={address}" in service["command"]
    assert f"--web.listen-address={address}" in (OPS / "README.md").read_text()
    [mount] = service["volumes"]
    assert mount.startswith("./prometheus/blackbox.yml:")
    assert f"--config.file={mount.split(':')[1]}" in service["command"]
    assert set(job["params"]["module"]) <= set(yaml.safe_load((OPS / mount.split(":")[0]).read_text())["modules"])


def test_the_image_runs_as_nobody_in_particular_and_says_how_it_is() -> None:
    said = instructions()
    assert "USER 10001" in said
    assert any(line.startswith("HEALTHCHECK ") for line in said)
    assert not any(line.startswith("ADD ") for line in said)
    assert said.index("USER 10001") > max(at for at, line in enumerate(said) if line.startswith("RUN "))


def test_what_the_image_takes_in_is_there_and_not_shut_out() -> None:
    ignored = (OPS / "Containerfile.dockerignore").read_text().splitlines()
    allowed = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    for line in instructions():
        if line.startswith("COPY "):
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists()
                assert any(Path(source).match(pattern) for pattern in allowed), source


def test_the_image_has_every_package_that_the_settings_name() -> None:
    copied = {word for line in instructions() if line.startswith("COPY ") for word in line.split()[1:-1]}
    assert {"omi", "transcription", "speakers", "emotions", "memories", "templates", "demo", "manage.py"} <= copied


def test_the_clients_of_postgresql_are_not_older_than_the_server() -> None:
    server = int(re.findall(r"postgres:(\d+)", COMPOSE)[0])
    client = int(re.findall(r"postgresql-client-(\d+)", CONTAINERFILE)[0])
    assert client >= server
