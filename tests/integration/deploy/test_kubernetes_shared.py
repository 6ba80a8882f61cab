"""The shared gateway in Kubernetes: available, closed to others, told who calls by Kubernetes."""

import tomllib
from pathlib import Path

import yaml

from gateway.identity.claims import parse_template
from gateway.observe.families import FAMILIES
from tests.support.manifests import Build, caller, container, is_within, one, pod, settings


def test_a_draining_pod_is_forgotten_before_it_closes(build: Build) -> None:
    """Readiness fails, and the endpoint is gone, well within `drain_delay`."""
    manifests = build("shared")
    probe = container(manifests)["readinessProbe"]
    noticed = probe["periodSeconds"] * probe["failureThreshold"]
    assert noticed + 5 <= settings(manifests)["listen"]["drain_delay"]


def test_the_shared_gateway_stays_available(build: Build) -> None:
    """Two or more replicas on nodes and in zones of their own; never two are taken at a time."""
    manifests = build("shared")
    labels = pod(manifests)["metadata"]["labels"]
    scaler = one(manifests, "HorizontalPodAutoscaler")["spec"]
    assert scaler["minReplicas"] >= 2
    assert "replicas" not in one(manifests, "Deployment")["spec"]
    assert scaler["scaleTargetRef"]["name"] == one(manifests, "Deployment")["metadata"]["name"]
    (pods,) = (metric["pods"] for metric in scaler["metrics"] if metric["type"] == "Pods")
    gauges = {f"invopop_gateway_{family.name}" for family in FAMILIES if family.kind == "gauge"}
    assert pods["metric"]["name"] in gauges
    budget = one(manifests, "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    spec = pod(manifests)["spec"]
    (apart,) = spec["affinity"]["podAntiAffinity"][
        "preferredDuringSchedulingIgnoredDuringExecution"
    ]
    (spread,) = spec["topologySpreadConstraints"]
    for selector in (
        budget["selector"], apart["podAffinityTerm"]["labelSelector"], spread["labelSelector"],
        {"matchLabels": one(manifests, "Service")["spec"]["selector"]},
        one(manifests, "NetworkPolicy")["spec"]["podSelector"],
    ):  # fmt: skip
        assert is_within(labels, selector)
    ports = {port["name"]: port["containerPort"] for port in container(manifests)["ports"]}
    (port,) = one(manifests, "Service")["spec"]["ports"]
    assert ports[port["targetPort"]] == settings(manifests)["listen"]["port"]


def test_the_network_policy_lets_in_callers_and_prometheus_only(build: Build) -> None:
    """Callers reach the callers' port, the monitoring namespace the admin port, nobody else any."""
    policy = one(build("shared"), "NetworkPolicy")["spec"]
    assert sorted(policy["policyTypes"]) == ["Egress", "Ingress"]
    callers, monitoring = policy["ingress"]
    assert callers["ports"] == [{"port": "callers"}]
    (source,) = callers["from"]
    assert is_within(caller()[1]["spec"]["template"]["metadata"]["labels"], source["podSelector"])
    assert monitoring["ports"] == [{"port": "gateway-admin"}]
    assert all("podSelector" in peer or "namespaceSelector" in peer for peer in monitoring["from"])
    assert all(rule["to"] and rule["ports"] for rule in policy["egress"])
    invopop = policy["egress"][1]["to"][0]["ipBlock"]
    assert "169.254.0.0/16" in invopop["except"]  # where clouds keep credentials


def test_a_service_account_is_a_caller(build: Build) -> None:
    """The example's token is made for the gateway, and names a caller that is configured."""
    configured = settings(build("shared"))
    (issuer,) = configured["issuers"]
    account, deployment = caller()
    spec = deployment["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == account["metadata"]["name"]
    (volume,) = spec["volumes"]
    token = volume["projected"]["sources"][0]["serviceAccountToken"]
    assert token["audience"] == issuer["audience"]
    (mount,) = spec["containers"][0]["volumeMounts"]
    environ = {variable["name"]: variable["value"] for variable in spec["containers"][0]["env"]}
    assert environ["INVOPOP_TOKEN_FILE"] == f"{mount['mountPath']}/{token['path']}"
    service = one(build("shared"), "Service")["metadata"]
    assert environ["INVOPOP_URL"] == f"http://{service['name']}.{service['namespace']}.svc"
    claims = {
        "kubernetes.io": {
            "namespace": account["metadata"]["namespace"],
            "serviceaccount": {"name": account["metadata"]["name"], "uid": "0"},
        }
    }
    assert parse_template(issuer["caller_template"]).name(claims) in configured["callers"]


def test_keys_come_by_csi_or_from_a_secret(build: Build) -> None:
    """The component swaps the volume and nothing else, and provides each file that is named."""
    plain, csi = build("shared"), build("shared-csi")
    volumes = [{v["name"]: v for v in pod(built)["spec"]["volumes"]} for built in (plain, csi)]
    secret, mounted = (found.pop("invopop-keys") for found in volumes)
    assert volumes[0] == volumes[1]
    assert secret["secret"]["defaultMode"] == 0o440
    assert "secret" not in mounted
    provider = one(csi, "SecretProviderClass")
    assert mounted["csi"]["driver"] == "secrets-store.csi.k8s.io"
    assert mounted["csi"]["volumeAttributes"] == {
        "secretProviderClass": provider["metadata"]["name"]
    }
    objects = yaml.safe_load(provider["spec"]["parameters"]["objects"])
    tenants = tomllib.loads(one(csi, "ConfigMap")["data"]["vault.toml"])["tenants"]
    files = {Path(tenant["key"]["file"]).name for tenant in tenants.values()}
    assert {wanted["objectName"] for wanted in objects} == files
