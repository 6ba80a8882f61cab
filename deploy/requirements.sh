#!/bin/sh
# Writes deploy/requirements.txt, what the gateway needs, and deploy/requirements-build.txt, what it is
# built and compiled with, from pyproject.toml, with every version pinned and every file's hash.
# Versions that are already pinned stay: `--upgrade` takes the newest of everything,
# `--upgrade-package NAME` that of one package, and `--extra redis` adds an extra.
set -eu
cd "$(dirname "$0")/.."
pin() {
  uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q "$@"
}
pin "$@" -o deploy/requirements.txt pyproject.toml

upgrades=
while [ "$#" -gt 0 ]; do # an extra is nothing that the build needs
  case "$1" in
    --extra) shift ;;
    --extra=*) ;;
    *) upgrades="$upgrades $1" ;;
  esac
  shift
done
# shellcheck disable=SC2086 # words, none of which has a space
uv run -q --no-project --python '>=3.11' python - <<'END' | pin $upgrades -o deploy/requirements-build.txt -
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())
hook = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]
print(*project["build-system"]["requires"], *hook["dependencies"], sep="\n")
END
