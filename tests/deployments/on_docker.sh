#!/usr/bin/env bash
# The image and compose.yaml with a real Docker engine: built, toured, started, restarted, stopped with
# a request in flight. Runs as PID 1's child in a file system of its own that has the engine, in a
# network namespace of its own; `.ci/deployments` makes both. Arguments: the tar of a base image.
set -euo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
cd /src
ip link set lo up

dockerd --data-root /var/lib/docker >/dockerd.log 2>&1 &
engine=$!
trap 'kill "$engine"; wait "$engine"' EXIT
for _ in $(seq 120); do docker info >/dev/null 2>&1 && break; sleep 0.5; done
docker info >/dev/null || { tail -20 /dockerd.log; exit 1; }

says() { echo "$(date +%T) $*"; }
compose() { docker compose --progress quiet -f deploy/compose.yaml "$@"; }
ask() {
  curl -sS --max-time 20 -o /dev/null -w '%{http_code}\n' "$@" \
    -H 'Authorization: Bearer igw_sandbox-billing-public-by-design' -H 'X-Invopop-Tenant: acme' \
    http://127.0.0.1:8585/access/v1/workspace
}

docker import "$1" base:3.12 >/dev/null
docker build -q --network none --build-arg BASE=base:3.12 --build-arg REVISION=abc -f deploy/Dockerfile -t invopop-gateway:0.2.0 .
[ "$(docker inspect -f '{{index .Config.Labels "org.opencontainers.image.revision"}}' invopop-gateway:0.2.0)" = abc ]
says "the image is built: $(docker images --format '{{.Size}}' invopop-gateway:0.2.0), base $(docker images --format '{{.Size}}' base:3.12)"

docker run --rm --read-only --tmpfs /tmp --cap-drop ALL --network none invopop-gateway:0.2.0 demo --once |
  grep -q '12 of 12 requests did what the tour expects'
docker run --rm --network none invopop-gateway:0.2.0 --version | grep -q '^invopop-gateway 0.2.0$'
says "the tour works in it, read-only and without rights"

compose up -d --no-build --pull never --wait network sandbox gateway
[ "$(ask)" = 200 ]
says "compose is up, and the gateway healthy"

compose restart sandbox
for _ in $(seq 60); do [ "$(ask)" = 200 ] && break; sleep 0.5; done
[ "$(ask)" = 200 ]
says "the gateway goes on after the sandbox was restarted"

exec 3<>/dev/tcp/127.0.0.1/8585
printf 'POST /silo/v1/entries HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\nX-Invopop-Tenant: acme\r\nAuthorization: Bearer igw_sandbox-billing-public-by-design\r\n\r\n{' >&3
sleep 1
compose stop gateway &
for _ in $(seq 60); do compose logs gateway | grep -q drain_started && break; sleep 0.5; done
printf '"a":1}' >&3
reply="$(cat <&3)"
wait $!
grep -q '^HTTP/1.1 4' <<<"$reply" # Invopop's own refusal of that body: it was forwarded
! grep -qi '^x-gateway-error' <<<"$reply"
[ "$(docker inspect -f '{{.State.ExitCode}}' invopop-gateway-gateway-1)" = 0 ]
says "a stop finished the request in flight, and ended with 0"
compose down -v
