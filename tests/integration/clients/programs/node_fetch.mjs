// Node's fetch. Proxies by NODE_USE_ENV_PROXY=1. A refused CONNECT is the cause of its error's cause.
for (const [name, method, size, wait] of [
  ['get', 'GET', 0, 30000],
  ['post', 'POST', 5 << 20, 30000],
  ['cancelled', 'GET', 0, 3000],
  ['refused', 'POST', 30 << 20, 30000],
]) {
  const headers = { 'X-Request-Id': `${process.env.LABEL}-${name}` }
  if (process.env.AUTHORIZATION) headers.Authorization = process.env.AUTHORIZATION
  const body = size ? Buffer.alloc(size) : undefined
  try {
    const signal = AbortSignal.timeout(wait)
    const reply = await fetch(`${process.env.URL}/${name}`, { method, headers, body, signal })
    await reply.arrayBuffer()
    console.log(name, reply.status)
  } catch (error) {
    console.log(name, error.cause?.cause?.code ?? error.cause?.code ?? error.name)
  }
}
