// Activations by the JavaScript client.
const assert = require('node:assert')
const { test } = require('node:test')
const { setTimeout: sleep } = require('node:timers/promises')
const openwhisk = require('openwhisk')

const ow = openwhisk()
const namespace = process.env.NAMESPACE

// What is stored is there a moment later.
async function eventually (look) {
  for (let left = 100; ; left--) {
    try {
      return await look()
    } catch (error) {
      if (left === 0) throw error
      await sleep(100)
    }
  }
}

test('records, logs and results are read', async () => {
  await ow.actions.create({ name: 'talk', action: 'function main(a) { console.log("heard", a.n); return a }' })
  const began = Date.now()
  const { activationId } = await ow.actions.invoke({ name: 'talk', params: { n: 7 } })
  const record = await eventually(() => ow.activations.get({ name: activationId }))
  assert.strictEqual(record.activationId, activationId)
  assert.strictEqual(record.namespace, namespace)
  assert.match((await ow.activations.logs({ activationId })).logs[0], /stdout: heard 7$/)
  assert.deepStrictEqual((await ow.activations.result(activationId)).result, { n: 7 })

  const found = await eventually(async () => {
    const list = await ow.activations.list({ name: 'talk', limit: 1, since: began - 60000, upto: Date.now() + 60000 })
    assert.strictEqual(list.length, 1)
    return list
  })
  assert.strictEqual(found[0].activationId, activationId)
  const whole = await ow.activations.list({ docs: true, limit: 1 })
  assert.deepStrictEqual(whole[0].response.result, { n: 7 })
  assert.strictEqual((await ow.activations.list({ count: true })).activations, 1)
  assert.deepStrictEqual(await ow.activations.list({ skip: 1 }), [])
  assert.deepStrictEqual(await ow.activations.list({ upto: 1000 }), [])
})

test('what is not there is a 404', async () => {
  await assert.rejects(ow.activations.get('f'.repeat(32)), { statusCode: 404 })
})
