"""The shared gateway in Kubernetes: available, closed to others, told who calls by Kubernetes."""

import tomllib
from pathlib import Path

import pytest
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
    # metrics-server has no other; and one that is missing keeps an autoscaler from scaling down.
    assert [metric["type"] for metric in scaler["metrics"]] == ["Resource"]
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


def test_it_scales_on_requests_where_an_adapter_is(build: Build) -> None:
    """The component adds a gauge of ours to the metrics, and changes nothing else."""
    plain = one(build("shared"), "HorizontalPodAutoscaler")["spec"]
    more = one(build("shared", "scale-on-requests"), "HorizontalPodAutoscaler")["spec"]
    assert {**more, "metrics": more["metrics"][:1]} == plain
    gauges = {f"invopop_gateway_{family.name}" for family in FAMILIES if family.kind == "gauge"}
    assert more["metrics"][1]["pods"]["metric"]["name"] in gauges


def test_one_missing_key_stops_no_pod(build: Build) -> None:
    """A gateway for many tenants starts without the key of one."""
    assert settings(build("shared"))["vault"]["strict"] is False


@pytest.mark.parametrize("overlay", ["shared", "sidecar"])
def test_the_network_policy_lets_out_to_dns_and_invopop(build: Build, overlay: str) -> None:
    """DNS wherever it may be, and port 443 of public addresses of both families."""
    policy = one(build(overlay), "NetworkPolicy")["spec"]
    assert is_within(pod(build(overlay))["metadata"]["labels"], policy["podSelector"])
    dns, invopop = policy["egress"][:2]
    ports = {(port["port"], port["protocol"]) for port in dns["ports"]}
    assert ports == {(port, kind) for port in (53, 5353) for kind in ("UDP", "TCP")}
    assert {"ipBlock": {"cidr": "169.254.20.10/32"}} in dns["to"]  # NodeLocal DNSCache
    assert invopop["ports"] == [{"port": 443}]
    four, six = (peer["ipBlock"] for peer in invopop["to"])
    assert (four["cidr"], six["cidr"]) == ("0.0.0.0/0", "::/0")
    assert {"169.254.0.0/16", "10.0.0.0/8"} <= set(four["except"])  # where clouds keep credentials
    assert {"fc00::/7", "fe80::/10"} <= set(six["except"])


def test_nobody_but_prometheus_reaches_the_sidecar(build: Build) -> None:
    """From outside the pod only the admin port is open, to the monitoring namespace."""
    (rule,) = one(build("sidecar"), "NetworkPolicy")["spec"]["ingress"]
    assert rule["ports"] == [{"port": "gateway-admin"}]
    assert all("namespaceSelector" in peer for peer in rule["from"])


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
    plain, csi = build("shared"), build("shared", "keys-csi")
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
