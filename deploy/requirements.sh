#!/bin/sh
# Writes deploy/requirements.txt anew from pyproject.toml: every version pinned, every file by its
# hash. What is pinned already stays, so that nothing changes but by intent: `--upgrade` takes the
# newest of everything, `--upgrade-package NAME` of one, `--extra redis` adds an extra.
set -eu
cd "$(dirname "$0")/.."
exec uv pip compile --universal --python-version 3.12 --generate-hashes --no-header --no-annotate \
  -q "$@" -o deploy/requirements.txt pyproject.toml
