#!/usr/bin/env bash
# The image and compose.yaml with a real Docker engine: built, toured, served from a folder of the host,
# composed with a real Prometheus, restarted, stopped with a request in flight. Runs as PID 1's child in a
# file system of its own that has the engine, in a network namespace of its own; `.ci/deployments` makes
# both. Arguments: the tar of a base image, a Prometheus that runs in it.
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
build() { docker build --network none --build-arg BASE=base:3.12 -f deploy/Dockerfile "$@" .; }
build -q --build-arg COMPILE_OPT_LEVEL=0 --build-arg REVISION=abc -t invopop-gateway:0.2.0
[ "$(docker inspect -f '{{index .Config.Labels "org.opencontainers.image.revision"}}' invopop-gateway:0.2.0)" = abc ]
says "the image is built: $(docker images --format '{{.Size}}' invopop-gateway:0.2.0), base $(docker images --format '{{.Size}}' base:3.12)"

docker run --rm --read-only --tmpfs /tmp --cap-drop ALL --network none invopop-gateway:0.2.0 demo --once |
  grep -q '12 of 12 requests did what the tour expects'
says "the tour works in it, read-only and without rights"
docker run --rm --network none invopop-gateway:0.2.0 --version | grep -q '^invopop-gateway 0.2.0 (compiled)$'
build -q --build-arg COMPILED=false -t plain
docker run --rm --network none plain --version | grep -q '^invopop-gateway 0.2.0$'
if build --progress plain --build-arg COMPILED=yes >/refused.log 2>&1; then exit 1; fi
grep -q 'this is not what COMPILED=yes asks for' /refused.log
says "it is compiled, or plain if that is asked for, and nothing in between"

# A folder of the host, a caller behind the bridge, and a stop: the guide's own lines.
mkdir -p own/config
docker run --rm --network none --user "$(id -u):$(id -g)" -v ./own/config:/out invopop-gateway:0.2.0 \
  init /out --live --shared --tenant acme --caller billing --keys env --yes >/init.out
sed -n '/^    docker run --read-only/,/^$/p' deploy/README.md | sed 's/^    //; s| -p | -d --name own --user 0:0 -e ACME_INVOPOP_KEY=k -p |; s|\./config|./own/config|' >/serve.sh
grep -q stop-timeout /serve.sh
bash -eu /serve.sh
for _ in $(seq 60); do [ "$(docker inspect -f '{{.State.Health.Status}}' own)" = healthy ] && break; sleep 0.5; done
[ "$(docker inspect -f '{{.State.Health.Status}}' own)" = healthy ]
curl -sS --max-time 20 http://127.0.0.1:8585/access/v1/workspace | grep -q '"unauthenticated"'
docker stop own >/dev/null
[ "$(docker inspect -f '{{.State.ExitCode}}' own)" = 0 ]
says "the documented line serves a folder of the host, is healthy, and stops with 0"

mkdir watcher
mv "$2" watcher/prometheus
printf 'FROM base:3.12\nCOPY prometheus /usr/local/bin/\nENTRYPOINT ["prometheus"]\n' >watcher/Dockerfile
docker build -q --network none -t "$(sed -n 's/^ *image: \(prom\/.*\)/\1/p' deploy/compose.yaml)" watcher
compose up -d --no-build --pull never --wait network sandbox gateway prometheus
[ "$(ask)" = 200 ]
curl -sS --max-time 20 http://127.0.0.1:9585/metrics | grep -q '^invopop_gateway_build_info{.*compiled="true"'
says "compose is up, and the gateway healthy and compiled"

watched() { curl -sS --max-time 20 -G "http://127.0.0.1:9090/api/v1/$1" "${@:2}"; }
for _ in $(seq 60); do
  [ "$(ask -H 'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')" = 200 ]
  watched query_exemplars --data-urlencode 'query=invopop_gateway_request_duration_seconds_bucket' \
    --data-urlencode "start=$(($(date +%s) - 600))" --data-urlencode "end=$(($(date +%s) + 60))" |
    grep -q 0af7651916cd43dd8448eb211c80319c && break
  sleep 1
done
watched query_exemplars --data-urlencode 'query=invopop_gateway_request_duration_seconds_bucket' \
  --data-urlencode "start=$(($(date +%s) - 600))" --data-urlencode "end=$(($(date +%s) + 60))" |
  grep -q 0af7651916cd43dd8448eb211c80319c
watched query --data-urlencode 'query=sum(up{job="invopop-gateway"})' | grep -q '"1"\]'
says "Prometheus scrapes the gateway, and keeps the trace of a request as an exemplar"

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
if grep -qi '^x-gateway-error' <<<"$reply"; then exit 1; fi
[ "$(docker inspect -f '{{.State.ExitCode}}' invopop-gateway-gateway-1)" = 0 ]
says "a stop finished the request in flight, and ended with 0"
compose down -v
