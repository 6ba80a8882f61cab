"""Kubernetes manifests as parsed YAML, and what the tests read off them."""

import re
import tomllib
from typing import Any, Protocol

import jsonschema  # type: ignore[import-untyped]
import yaml

from tests.support.prometheus import DEPLOY

Manifest = dict[str, Any]


class Build(Protocol):
    """Builds an overlay with components."""

    def __call__(self, overlay: str, *components: str) -> list[Manifest]: ...


# Kinds that a cluster learns from an operator or a driver. No package has their schemas, so here is
# what the manifests use of them: each field with its type, and no other.
_LABELS = {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1}
_SECONDS = {"type": "string", "pattern": r"^[0-9]+(ms|s|m)$"}
_METADATA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "namespace": {"type": "string"}},
    "required": ["name", "namespace"],
    "additionalProperties": False,
}
_SPECS: dict[tuple[str, str], Manifest] = {
    ("monitoring.coreos.com/v1", "PodMonitor"): {
        "selector": {
            "type": "object",
            "properties": {"matchLabels": _LABELS},
            "required": ["matchLabels"],
            "additionalProperties": False,
        },
        "podMetricsEndpoints": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "port": {"type": "string", "pattern": "^[a-z0-9-]{1,15}$"},
                    "path": {"type": "string", "pattern": "^/"},
                    "interval": _SECONDS,
                    "scrapeTimeout": _SECONDS,
                },
                "required": ["port"],
                "additionalProperties": False,
            },
        },
    },
    ("secrets-store.csi.x-k8s.io/v1", "SecretProviderClass"): {
        "provider": {"type": "string", "enum": ["vault", "aws", "azure", "gcp"]},
        "parameters": _LABELS,
    },
    # `promtool check rules` knows what is in it: it is what Prometheus reads.
    ("monitoring.coreos.com/v1", "PrometheusRule"): {
        "groups": {"type": "array", "minItems": 1, "items": {"type": "object"}}
    },
}
FOREIGN = {kind for _, kind in _SPECS}

KUBERNETES = DEPLOY / "kubernetes"
EXAMPLE = KUBERNETES / "overlays" / "shared" / "caller.yaml"


def caller() -> list[Manifest]:
    """The example of a service that calls the shared gateway: its account and its Deployment."""
    return list(yaml.safe_load_all(EXAMPLE.read_text()))


def one(manifests: list[Manifest], kind: str) -> Manifest:
    """The only manifest of a kind."""
    (manifest,) = (manifest for manifest in manifests if manifest["kind"] == kind)
    return manifest


def pod(manifests: list[Manifest]) -> Manifest:
    """The pod template that the Deployment makes."""
    template: Manifest = one(manifests, "Deployment")["spec"]["template"]
    return template


def container(manifests: list[Manifest]) -> Manifest:
    """The gateway's container, be it a sidecar or the pod's only one."""
    spec = pod(manifests)["spec"]
    every = [*spec.get("initContainers", ()), *spec["containers"]]
    (gateway,) = (found for found in every if found["name"] == "invopop-gateway")
    return dict(gateway)


def settings(manifests: list[Manifest]) -> dict[str, Any]:
    """The `gateway.toml` that the pod mounts."""
    return tomllib.loads(one(manifests, "ConfigMap")["data"]["gateway.toml"])


_RESTRICTED_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
    "projected", "secret",
}  # fmt: skip


def violations(template: Manifest) -> list[str]:
    """What PodSecurity's profile `restricted` has against a pod template, one line each.

    Source: the Pod Security Standards, which pod-security.kubernetes.io/enforce applies.
    """
    spec = template["spec"]
    whole = spec.get("securityContext", {})
    found = [f"{name} is set" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    for volume in spec.get("volumes", ()):
        found += [f"volume {kind}" for kind in volume.keys() - {"name"} - _RESTRICTED_VOLUMES]
    for each in [*spec.get("initContainers", ()), *spec["containers"]]:
        own = each.get("securityContext", {})
        context = whole | own
        rules = {
            "privileged": not own.get("privileged"),
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
            "runAsNonRoot": context.get("runAsNonRoot") is True,
            "runAsUser": context.get("runAsUser") != 0,
            "seccompProfile": context.get("seccompProfile") == {"type": "RuntimeDefault"},
            "hostPort": not any("hostPort" in port for port in each.get("ports", ())),
        }
        found += [f"{each['name']}: {name}" for name, kept in rules.items() if not kept]
    return found


def in_mib(quantity: str) -> int:
    """An amount of memory as Kubernetes and Docker write it (`512Mi`, `2g`), in MiB."""
    found = re.fullmatch(r"([0-9]+)([MGmg])i?", quantity)
    assert found is not None, quantity
    return int(found[1]) * (1024 if found[2] in "Gg" else 1)


def worst_case(output: str) -> int:
    """The sum that `check` printed, in MiB."""
    found = re.search(r"^memory at most ([0-9]+) MiB", output, re.MULTILINE)
    assert found is not None, output
    return int(found[1])


def is_within(labels: Manifest, selector: Manifest) -> bool:
    """Whether a label selector of equalities selects these labels."""
    return selector.keys() == {"matchLabels"} and selector["matchLabels"].items() <= labels.items()


def check_foreign(manifest: Manifest) -> None:
    """Raises `jsonschema.ValidationError` if a manifest of a foreign kind is not as it must be."""
    spec = _SPECS[manifest["apiVersion"], manifest["kind"]]
    whole = {
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": _METADATA,
            "spec": {
                "type": "object",
                "properties": spec,
                "required": list(spec),
                "additionalProperties": False,
            },
        },
        "required": ["metadata", "spec"],
        "additionalProperties": False,
    }
    jsonschema.validate(manifest, whole)
