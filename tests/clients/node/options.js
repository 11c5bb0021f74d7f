// How the JavaScript client is told where and who.
const assert = require('node:assert')
const { test } = require('node:test')
const openwhisk = require('openwhisk')

const { NAMESPACE: namespace, __OW_API_HOST: apihost, __OW_API_KEY: key } = process.env

async function answers (options) {
  assert.deepStrictEqual(await openwhisk(options).namespaces.list(), [namespace])
}

test('host and key come from the environment', () => answers())
test('host and key are given', () => answers({ apihost, api_key: key }))
test('the whole address is given', () => answers({ api: `${apihost}/api/v1/`, api_key: key }))
test('the version is given', () => answers({ apiversion: 'v1' }))
test('certificates are not looked at', () => answers({ ignore_certs: true }))

test('the agent is named', async () => {
  process.env.__OW_USER_AGENT = 'ours'
  await answers()
  delete process.env.__OW_USER_AGENT
})

test('an own handler makes the header', () => {
  const header = `basic ${Buffer.from(key).toString('base64')}`
  return answers({ auth_handler: { getAuthHeader: async () => header } })
})

test('the namespace is named', async () => {
  assert.deepStrictEqual(await openwhisk({ namespace }).actions.list(), [])
  await assert.rejects(openwhisk({ namespace: 'whisk.system' }).actions.create({ name: 'a', action: 'x' }), { statusCode: 403 })
})

test('what is refused is tried again', async () => {
  const tried = openwhisk({ retry: { retries: 2, minTimeout: 10 } }).actions.get('missing')
  await assert.rejects(tried, { statusCode: 404 })
})

test('a wrong key is a 401', async () => {
  await assert.rejects(openwhisk({ api_key: key.replace(/.$/, '?') }).actions.list(), { statusCode: 401 })
})
