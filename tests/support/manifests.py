"""Kubernetes manifests as parsed YAML, and what the tests read off them."""

import tomllib
from collections.abc import Callable
from typing import Any

import yaml

from tests.support.prometheus import DEPLOY

Manifest = dict[str, Any]
Build = Callable[[str], list[Manifest]]

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


def is_within(labels: Manifest, selector: Manifest) -> bool:
    """Whether a label selector of equalities selects these labels."""
    return selector.keys() == {"matchLabels"} and selector["matchLabels"].items() <= labels.items()
