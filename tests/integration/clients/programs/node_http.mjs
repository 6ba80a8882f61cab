// Node's http and https. Proxies by NODE_USE_ENV_PROXY=1.
import fs from 'node:fs'
import http from 'node:http'
import https from 'node:https'

const { URL: base, CLIENT_SOCKET: socketPath, CLIENT_CERTIFICATE: pem, CLIENT_CA: ca } = process.env
const module = base.startsWith('https:') ? https : http
const options = { agent: pem || socketPath ? new module.Agent({ keepAlive: true }) : undefined }
if (socketPath) options.socketPath = socketPath
if (pem) {
  options.cert = options.key = fs.readFileSync(pem)
  options.ca = fs.readFileSync(ca)
}

function send(method, name, headers, body, wait) {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(wait)
    const request = module.request(`${base}/${name}`, { ...options, method, headers, signal })
    request.on('response', (reply) => reply.resume().on('end', () => resolve(reply.statusCode)))
    request.on('error', reject)
    request.end(body)
  })
}

for (const [name, method, size, wait] of [
  ['get', 'GET', 0, 30000],
  ['post', 'POST', 5 << 20, 30000],
  ['cancelled', 'GET', 0, 3000],
  ['refused', 'POST', 30 << 20, 30000],
]) {
  const headers = { 'X-Request-Id': `${process.env.LABEL}-${name}` }
  if (process.env.AUTHORIZATION) headers.Authorization = process.env.AUTHORIZATION
  if (size) headers['Content-Length'] = size
  try {
    console.log(name, await send(method, name, headers, Buffer.alloc(size), wait))
  } catch (error) {
    console.log(name, error.code ?? error.name)
  }
}
process.exit()
