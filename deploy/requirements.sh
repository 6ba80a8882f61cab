#!/bin/sh
# Writes deploy/requirements.txt from pyproject.toml, with every version pinned and every file's hash.
# Versions that are already pinned stay: `--upgrade` takes the newest of everything,
# `--upgrade-package NAME` that of one package, and `--extra redis` adds an extra.
set -eu
cd "$(dirname "$0")/.."
exec uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
  -q "$@" -o deploy/requirements.txt pyproject.toml
