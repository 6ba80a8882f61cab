#!/bin/sh
# Writes deploy/requirements.txt anew from uv.lock: every version pinned, every file by its hash.
set -eu
cd "$(dirname "$0")/.."
exec uv export --frozen --no-dev --no-emit-project --no-header --no-annotate \
  -q -o deploy/requirements.txt
