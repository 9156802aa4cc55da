"""``ops/kubernetes``: whole, shut, drained with patience, and scaled by figures and columns that exist.

The schemas of Kubernetes are 70 MB and no part of the set-up: ``make test-kubernetes`` fetches them and runs the last
tests; without them they are skipped and say so. KEDA's kinds are in no schema package: their fields are checked here.
Where ``kubectl`` is installed the kustomization is rendered by it, as ``kubectl apply -k`` would.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.db import connection
from django.utils import timezone

from memories.pipeline.models import PostProcessingRun
from memories.pipeline.states import State
from tests.ops.test_compose import check_command, settings

FOLDER = Path(__file__).resolve().parents[2] / "ops" / "kubernetes"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
OBJECTS: list[dict[str, Any]] = [
    item for name in KUSTOMIZATION["resources"] for item in yaml.safe_load_all((FOLDER / name).read_text())
]
KEDA = "keda.sh/v1alpha1"


def named(kind: str, name: str) -> dict[str, Any]:
    [found] = [item for item in OBJECTS if (item["kind"], item["metadata"]["name"]) == (kind, name)]
    return found


def pods() -> list[dict[str, Any]]:
    return [item["spec"]["template"]["spec"] for item in OBJECTS if item["kind"] in ("StatefulSet", "Job")]


def test_every_file_belongs_to_the_kustomization_and_names_are_unique() -> None:
    assert set(KUSTOMIZATION["resources"]) == {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    names = [(item["kind"], item["metadata"]["name"]) for item in OBJECTS]
    assert len(names) == len(set(names)) == 13


def test_every_pod_is_no_root_writes_nothing_but_its_volumes_and_has_no_token() -> None:
    assert len(pods()) == 3
    for pod in pods():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        [container] = pod["containers"]
        assert container["image"] == KUSTOMIZATION["images"][0]["name"]
        shut = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        assert container["securityContext"] == shut
        assert container["resources"]["limits"]["memory"]
        assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/var/lib/omi", "/tmp"}


def test_commands_can_be_said_and_end_within_the_pods_grace() -> None:
    for pod in pods():
        [container] = pod["containers"]
        check_command(container["command"])
        if "--grace" in container["command"]:
            grace = int(container["command"][container["command"].index("--grace") + 1])
            assert pod["terminationGracePeriodSeconds"] >= grace + 30
            assert "--no-migrate" in container["command"]


def test_every_setting_is_documented_and_no_secret_is_written_down() -> None:
    [generated] = KUSTOMIZATION["configMapGenerator"]
    names = {line.partition("=")[0] for line in generated["literals"]}
    assert names <= settings()
    assert not {name for name in names if re.search("SECRET_KEY|TOKEN|PASSWORD|DATABASE_URL|REDIS_URL|_KEY", name)}
    assert {item["kind"] for item in OBJECTS} & {"Secret"} == set()


def test_probes_ask_what_is_answered_and_budgets_and_services_select_pods() -> None:
    [web] = named("StatefulSet", "omi-web")["spec"]["template"]["spec"]["containers"]
    assert web["livenessProbe"]["httpGet"]["path"] == web["startupProbe"]["httpGet"]["path"] == "/healthz"
    assert web["readinessProbe"]["httpGet"]["path"] == "/readyz"
    for name in ("omi-web", "omi-worker"):
        labels = {"app.kubernetes.io/name": name}
        scaled = named("StatefulSet", name)["spec"]
        assert scaled["selector"]["matchLabels"] == scaled["template"]["metadata"]["labels"] == labels
        assert "replicas" not in scaled, "an apply would undo what the scaler did"
        assert scaled["volumeClaimTemplates"][0]["metadata"]["name"] == "data"
        assert named("PodDisruptionBudget", name)["spec"] == {"maxUnavailable": 1, "selector": {"matchLabels": labels}}
        assert named("Service", scaled["serviceName"])["spec"]["selector"] == labels
    assert named("Service", "omi")["spec"]["selector"] == {"app.kubernetes.io/name": "omi-web"}


def trigger(name: str) -> dict[str, Any]:
    """The only trigger of a scaler, whose target exists."""
    found = named("ScaledObject", name)
    assert found["apiVersion"] == KEDA
    target = found["spec"]["scaleTargetRef"]
    assert named(target["kind"], target["name"])
    assert 0 < found["spec"]["minReplicaCount"] < found["spec"]["maxReplicaCount"]
    [only] = found["spec"]["triggers"]
    return dict(only)


def test_web_is_scaled_on_a_metric_that_is_told() -> None:
    metadata = trigger("omi-web")["metadata"]
    assert set(metadata) == {"serverAddress", "query", "threshold"}
    page = (FOLDER.parents[1] / "docs" / "metrics.md").read_text()
    for metric in re.findall(r"omi_\w+", metadata["query"]):
        assert f"`{metric}`" in page
    assert int(metadata["threshold"]) > 0


@pytest.mark.django_db
def test_workers_are_scaled_on_runs_that_can_be_worked_on() -> None:
    """The query is run: SQLite's clock stands in for PostgreSQL's ``now()``."""
    only = trigger("omi-worker")
    assert only["type"] == "postgresql"
    auth = named("TriggerAuthentication", only["authenticationRef"]["name"])
    assert auth["spec"]["secretTargetRef"][0]["key"] == "DATABASE_URL"

    def wanted() -> int:
        query = only["metadata"]["query"]
        with connection.cursor() as cursor:
            cursor.execute(query if connection.vendor == "postgresql" else query.replace("now()", "CURRENT_TIMESTAMP"))
            return int(cursor.fetchone()[0])

    before = wanted()
    leased: dict[str, Any] = {"lease_owner": "w", "lease_until": timezone.now(), "claims": 1, "total_claims": 1}
    for state, held, due_at in (
        (State.QUEUED, False, None), (State.QUEUED, True, None), (State.RUNNING, False, None),
        (State.WAITING, False, "2020-01-01T00:00Z"), (State.WAITING, False, "2099-01-01T00:00Z"),
    ):  # fmt: skip
        PostProcessingRun.objects.create(
            uid="u", memory_id=f"m-{PostProcessingRun.objects.count()}", kind="capture", state=state, blocked=held,
            due_at=due_at, actor="test", **(leased if state == State.RUNNING else {}),
        )  # fmt: skip
    assert wanted() - before == 3


@pytest.fixture(scope="module")
def rendered() -> list[dict[str, Any]]:
    """What ``kubectl apply -k`` would send; asks no cluster."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("NOT RENDERED: kubectl is not installed here (kubectl 1.27 or newer, of Kubernetes' own packages)")
    done = subprocess.run([kubectl, "kustomize", FOLDER], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "kustomize warns, as of a field that a later one takes no more"
    return list(yaml.safe_load_all(done.stdout))


def test_the_kustomization_is_rendered_whole_and_into_its_namespace(rendered: list[dict[str, Any]]) -> None:
    made = sorted((item["kind"], item["metadata"]["name"]) for item in rendered)
    [generated] = [name for kind, name in made if kind == "ConfigMap"]
    assert re.fullmatch(r"omi-[0-9a-z]{10}", generated), (
        "its name is of its content, so that a change restarts the pods"
    )
    written = sorted((item["kind"], item["metadata"]["name"]) for item in OBJECTS)
    assert [each for each in made if each[0] != "ConfigMap"] == written
    for item in rendered:
        assert item["metadata"]["labels"]["app.kubernetes.io/part-of"] == "omi"
        assert item["kind"] == "Namespace" or item["metadata"]["namespace"] == "omi"


def test_rendered_pods_have_the_image_the_settings_and_labels_that_selectors_find(
    rendered: list[dict[str, Any]],
) -> None:
    [settings_of_pods] = [item for item in rendered if item["kind"] == "ConfigMap"]
    [image] = KUSTOMIZATION["images"]
    seen = 0
    for item in rendered:
        if item["kind"] not in ("StatefulSet", "Job"):
            continue
        template = item["spec"]["template"]
        [container] = template["spec"]["containers"]
        assert container["image"] == f"{image['newName']}:{image['newTag']}"
        assert container["envFrom"] == [
            {"configMapRef": {"name": settings_of_pods["metadata"]["name"]}},
            {"secretRef": {"name": "omi"}},
        ], "the name with the hash is put in everywhere, and the Secret keeps the one that it was made by hand with"
        if "selector" in item["spec"]:
            assert item["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        seen += 1
    assert seen == 3
    [generated] = KUSTOMIZATION["configMapGenerator"]
    assert settings_of_pods["data"] == dict(line.split("=", 1) for line in generated["literals"])


def schemas() -> Any:
    """The validator, or a skip that says why."""
    return pytest.importorskip(
        "kubernetes_validate", reason="NOT CHECKED against the schemas of Kubernetes: make test-kubernetes fetches them"
    )


def check_all(items: list[dict[str, Any]]) -> int:
    """Validate every object of a kind that the schemas know; how many there were."""
    checked = 0
    for item in items:
        if item["apiVersion"] == KEDA:
            continue
        for version in ("1.30", "1.34"):
            schemas().validate(item, version, strict=True)
        checked += 1
    return checked


def test_the_schemas_of_kubernetes_take_every_rendered_object(rendered: list[dict[str, Any]]) -> None:
    assert check_all(rendered) == 11


def test_the_schemas_of_kubernetes_take_every_object() -> None:
    validator = schemas()
    assert check_all(OBJECTS) == 10
    broken = {**named("PodDisruptionBudget", "omi-web"), "spec": {"maxUnavailabel": 1}}
    with pytest.raises(validator.ValidationError):
        validator.validate(broken, "1.34", strict=True)
