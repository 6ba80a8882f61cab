# curl: each request is a program of its own.
head -c 5242880 /dev/zero >post
head -c 31457280 /dev/zero >refused
common=(-sS -o /dev/null -w '%{http_code}')
if [ -n "$AUTHORIZATION" ]; then common+=(-H "Authorization: $AUTHORIZATION"); fi
if [ -n "$CLIENT_SOCKET" ]; then common+=(--unix-socket "$CLIENT_SOCKET"); fi
if [ -n "$CLIENT_CERTIFICATE" ]; then common+=(--cert "$CLIENT_CERTIFICATE" --cacert "$CLIENT_CA"); fi
for name in get post cancelled refused; do
  more=(--max-time 30)
  if [ "$name" = cancelled ]; then more=(--max-time 3); fi
  if [ -f "$name" ]; then more+=(--data-binary "@$name"); fi
  if seen=$(curl "${common[@]}" "${more[@]}" -H "X-Request-Id: $LABEL-$name" "$URL/$name"); then
    echo "$name $seen"
  else
    echo "$name curl-error-$?"
  fi
done
