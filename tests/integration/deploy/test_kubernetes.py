"""The Kubernetes manifests: built as kubectl builds them, valid, and true to the gateway itself."""

import re
import tomllib
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from gateway import __version__
from gateway.cli.worst_case import MIB, PROGRAM
from tests.support.certificates import Authority
from tests.support.gateway import run
from tests.support.manifests import (
    EXAMPLE,
    FOREIGN,
    KUBERNETES,
    Build,
    caller,
    check_foreign,
    container,
    in_mib,
    is_within,
    one,
    pod,
    settings,
    violations,
    worst_case,
)
from tests.support.prometheus import DEPLOY
from tests.support.prometheus_rule import FILE, rule_text

OVERLAYS = sorted(path.parent.name for path in KUBERNETES.glob("overlays/*/kustomization.yaml"))
# Native sidecars are on by default from the first; the other is the newest that is known.
COMPONENTS = {
    "sidecar": ("pod-monitor", "prometheus-rule"),
    "shared": ("pod-monitor", "prometheus-rule", "scale-on-requests", "keys-csi"),
}
VERSIONS = ["1.29", kubernetes_validate.latest_version()]
LONGEST_WAIT = 60  # seconds for which Invopop may be asked to wait for a job


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_manifests_satisfy_the_schemas(build: Build, overlay: str, version: str) -> None:
    """Every manifest is valid, unknown fields included, in the oldest and the newest version."""
    manifests = build(overlay, *COMPONENTS[overlay])
    own = [manifest for manifest in manifests if manifest["kind"] not in FOREIGN]
    assert len(own) >= 2
    for manifest in own:
        kubernetes_validate.validate(manifest, version, strict=True)
    for manifest in manifests:
        if manifest["kind"] in FOREIGN:
            check_foreign(manifest)
        if manifest["kind"] != "Namespace":
            assert manifest["metadata"].get("namespace"), manifest["metadata"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_plain_cluster_knows_every_kind(build: Build, overlay: str) -> None:
    """What an operator or a driver brings is a component, off by default, and listed beside it."""
    assert {manifest["kind"] for manifest in build(overlay)} & FOREIGN == set()
    text = (KUBERNETES / "overlays" / overlay / "kustomization.yaml").read_text()
    assert re.findall(r"(?m)^#   - ../../components/(.*)$", text) == list(COMPONENTS[overlay])


def test_the_rules_of_the_operator_are_those_of_prometheus() -> None:
    """`python -m tests.support.prometheus_rule` was run since the last change of a rule."""
    assert FILE.read_text() == rule_text()


def test_the_commands_work_on_an_empty_cluster(build: Build) -> None:
    """Before an overlay is applied its namespace is made, and the Secret with every key in it."""
    chapter = (DEPLOY / "README.md").read_text().split("\n## Kubernetes")[1].split("\n## ")[0]
    commands = chapter.replace("\\\n", " ").splitlines()
    done = [line.split() for line in commands if line.startswith("    kubectl ")]
    for overlay in OVERLAYS:
        applied = done.index(["kubectl", "apply", "-k", f"deploy/kubernetes/overlays/{overlay}"])
        (secret,) = (
            words
            for words in done[:applied]
            if "secret" in words and _is_for(words, build, overlay)
        )
        tenants = tomllib.loads(one(build(overlay), "ConfigMap")["data"]["vault.toml"])["tenants"]
        assert {word for word in secret if word.startswith("--from-file")} == {
            f"--from-file={tenant}={tenant}.key" for tenant in tenants
        }
        namespace = _namespace(build, overlay)
        made = [
            ["kubectl", "create", "namespace", namespace],
            ["kubectl", "apply", "-f", f"deploy/kubernetes/overlays/{overlay}/namespace.yaml"],
        ]
        assert any(words in made for words in done[: done.index(secret)])


def _namespace(build: Build, overlay: str) -> str:
    return str(one(build(overlay), "Deployment")["metadata"]["namespace"])


def _is_for(words: list[str], build: Build, overlay: str) -> bool:
    """Whether a command is about the Secret that the overlay's pod mounts."""
    volumes = {volume["name"]: volume for volume in pod(build(overlay))["spec"]["volumes"]}
    name = volumes["invopop-keys"]["secret"]["secretName"]
    return ["-n", _namespace(build, overlay)] == words[1:3] and name in words


def test_the_example_of_a_caller_is_valid() -> None:
    """What is no part of an overlay is valid all the same."""
    for manifest in caller():
        kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)


def test_a_wrong_manifest_is_noticed(build: Build) -> None:
    """The schemas do refuse: a misspelt field is an error."""
    wrong = {**one(build("shared"), "Deployment"), "spce": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)
    monitor = one(build("shared", "pod-monitor"), "PodMonitor")
    endpoint = {**monitor["spec"]["podMetricsEndpoints"][0], "intervall": "15s"}
    with pytest.raises(jsonschema.ValidationError, match="intervall"):
        check_foreign({**monitor, "spec": {**monitor["spec"], "podMetricsEndpoints": [endpoint]}})


def test_every_file_is_used() -> None:
    """Each file is named by the kustomization beside it, and each that is named exists."""
    for kustomization in KUBERNETES.rglob("kustomization.yaml"):
        content = yaml.safe_load(kustomization.read_text())
        generated = [f for g in content.get("configMapGenerator", ()) for f in g["files"]]
        patches = [patch["path"] for patch in content.get("patches", ()) if "path" in patch]
        names = [*content.get("resources", ()), *generated, *patches]
        here = kustomization.parent
        beside = {path for path in here.iterdir() if path.is_file()} - {kustomization} - {EXAMPLE}
        assert beside == {here / name for name in names}


@pytest.mark.parametrize(
    ("overlay", "open_on_purpose"),
    [("sidecar", ["admin.host"]), ("shared", ["listen.host", "admin.host"])],
)
def test_the_gateway_accepts_its_configuration(
    build: Build, overlay: str, open_on_purpose: list[str], tmp_path: Path
) -> None:
    """`check` finds nothing wrong with what is mounted, each key being where it is mounted.

    It warns of the ports that other pods reach: network policies say which pods. The worst case
    that it prints fits the container's memory limit.
    """
    manifests = build(overlay)
    for name, text in one(manifests, "ConfigMap")["data"].items():
        (tmp_path / name).write_text(text.replace("/run/secrets", str(tmp_path)))
    (tmp_path / "invopop").mkdir()
    for tenant in tomllib.loads((tmp_path / "vault.toml").read_text())["tenants"]:
        (tmp_path / "invopop" / tenant).write_text("key-of-" + tenant)
    (api_server := tmp_path / "api-server").mkdir()
    Authority(api_server).ca_file.rename(api_server / "ca.crt")
    (api_server / "token").write_text("token-of-the-gateway")
    for secret in (*(tmp_path / "invopop").iterdir(), api_server / "token"):
        secret.chmod(0o440)  # as the volumes' defaultMode has it
    code, output = run(["check", "--config", str(tmp_path / "gateway.toml")])
    assert code == 0, output
    warnings = [line for line in output.splitlines() if line.startswith("warning ")]
    assert [warning.split()[1].rstrip(":") for warning in warnings] == open_on_purpose
    limit = container(manifests)["resources"]["limits"]["memory"]
    assert worst_case(output) + PROGRAM // MIB < in_mib(limit)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_the_configuration_names_is_mounted(build: Build, overlay: str) -> None:
    """Every path in both files lies in a volume of the pod; only the audit file's is writable."""
    manifests = build(overlay)
    mounts = container(manifests)["volumeMounts"]
    (writable,) = (mount for mount in mounts if not mount.get("readOnly"))
    assert (writable["name"], writable["mountPath"]) == ("audit", "/var/log/invopop-gateway")
    assert (
        f'file = "{writable["mountPath"]}/' in one(manifests, "ConfigMap")["data"]["gateway.toml"]
    )
    volumes = {volume["name"] for volume in pod(manifests)["spec"]["volumes"]}
    assert {mount["name"] for mount in mounts} <= volumes
    folders = [mount["mountPath"] for mount in mounts]
    assert (
        "INVOPOP_GATEWAY_CONFIG=/etc/invopop-gateway/gateway.toml"
        in (DEPLOY / "Dockerfile").read_text()
    )
    assert "/etc/invopop-gateway" in folders
    data = one(manifests, "ConfigMap")["data"]
    named = [part for text in data.values() for part in text.split('"') if part.startswith("/")]
    assert [path for path in named if str(Path(path).parent) not in folders] == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_there_is_time_to_drain(build: Build, overlay: str) -> None:
    """A job's wait of a minute is finished, and the pod is not killed before the drain is over."""
    manifests = build(overlay)
    listen = settings(manifests)["listen"]
    grace = pod(manifests)["spec"]["terminationGracePeriodSeconds"]
    assert listen["drain_timeout"] >= LONGEST_WAIT + 10
    assert grace >= listen.get("drain_delay", 0) + listen["drain_timeout"] + 5


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_it_may_do_as_little_as_possible(build: Build, overlay: str) -> None:
    """What Kubernetes' "restricted" profile asks for, and a root file system that is read-only."""
    found = container(build(overlay))
    context = pod(build(overlay))["spec"]["securityContext"] | found["securityContext"]
    assert context["runAsNonRoot"] is context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    user = f"USER {context['runAsUser']}:{context['runAsGroup']}\n"
    assert user in (DEPLOY / "Dockerfile").read_text()
    assert found["resources"]["limits"].keys() == {"memory"}
    assert found["image"] == f"invopop-gateway:{__version__}"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_passes_the_restricted_profile(build: Build, overlay: str) -> None:
    """The gateway's pods, and those of the examples."""
    assert violations(pod(build(overlay))) == []
    assert violations(caller()[1]["spec"]["template"]) == []


def test_the_profile_is_judged(build: Build) -> None:
    """A pod that asks for more than the profile allows does not pass."""
    spec = pod(build("shared"))["spec"]
    wrong = {**spec, "hostNetwork": True, "securityContext": {},
             "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
             "containers": [{"name": "bare", "image": "bare"}]}  # fmt: skip
    assert len(violations({"spec": wrong})) == 6


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_probes_and_prometheus_ask_the_admin_port(build: Build, overlay: str) -> None:
    """Probes and the PodMonitor name the port on which the admin listener really listens."""
    manifests = build(overlay, "pod-monitor")
    gateway = container(manifests)
    admin = settings(manifests)["admin"]
    ports = {port["name"]: port["containerPort"] for port in gateway["ports"]}
    assert ports["gateway-admin"] == admin["port"]
    assert admin["host"] == "0.0.0.0"
    for name, path in (("startupProbe", "/readyz"), ("livenessProbe", "/livez")):
        assert gateway[name]["httpGet"] == {"path": path, "port": "gateway-admin"}
    monitor = one(manifests, "PodMonitor")["spec"]
    assert [endpoint["port"] for endpoint in monitor["podMetricsEndpoints"]] == ["gateway-admin"]
    assert is_within(pod(manifests)["metadata"]["labels"], monitor["selector"])


def test_the_sidecar_outlives_its_service(build: Build) -> None:
    """It is a native sidecar, over loopback; the service holds no key and no token."""
    manifests = build("sidecar")
    assert container(manifests)["restartPolicy"] == "Always"
    listen = settings(manifests)["listen"]
    (service,) = pod(manifests)["spec"]["containers"]
    assert service["env"] == [
        {"name": "INVOPOP_URL", "value": f"http://{listen['host']}:{listen['port']}"}
    ]
    assert listen["host"] == "127.0.0.1"
    assert "volumeMounts" not in service
