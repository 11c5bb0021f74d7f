// Namespaces, packages, triggers, rules and feeds by the JavaScript client.
const assert = require('node:assert')
const { test } = require('node:test')
const { setTimeout: sleep } = require('node:timers/promises')
const openwhisk = require('openwhisk')

const ow = openwhisk()
const namespace = process.env.NAMESPACE
const echo = 'function main(args) { return args }'

test('namespaces are listed and read', async () => {
  assert.deepStrictEqual(await ow.namespaces.list(), [namespace])
  const all = await ow.namespaces.get({ name: namespace })
  for (const kind of ['actions', 'packages', 'triggers', 'rules']) assert.ok(Array.isArray(all[kind]), kind)
})

test('a package is created, read, changed and deleted', async () => {
  const created = await ow.packages.create({ name: 'p', package: { parameters: [{ key: 'a', value: 1 }] } })
  assert.deepStrictEqual(created.annotations, [])
  assert.strictEqual(created.version, '0.0.1')
  await assert.rejects(ow.packages.create({ name: 'p' }), { statusCode: 409 })
  const updated = await ow.packages.update({ name: 'p', package: { publish: true, parameters: [{ key: 'b', value: 2 }] } })
  assert.strictEqual(updated.version, '0.0.2')
  assert.strictEqual(updated.publish, true)
  assert.deepStrictEqual(updated.parameters, [{ key: 'b', value: 2 }])
  await ow.actions.create({ name: 'p/x', action: echo })
  assert.deepStrictEqual((await ow.packages.get('p')).actions.map(action => action.name), ['x'])
  assert.deepStrictEqual(await ow.actions.invoke({ name: 'p/x', blocking: true, result: true }), { b: 2 })
  assert.deepStrictEqual((await ow.packages.list()).map(found => found.name), ['p'])
  assert.strictEqual((await ow.packages.list({ count: true })).packages, 1)
  assert.ok((await ow.packages.list({ namespace: 'whisk.system' })).some(found => found.name === 'utils'))
  await ow.actions.delete('p/x')
  await ow.packages.delete('p')
  await assert.rejects(ow.packages.get('p'), { statusCode: 404 })
})

test('a binding lends actions and changes parameters', async () => {
  await ow.packages.create({ name: 'lender', package: { parameters: [{ key: 'a', value: 1 }] } })
  await ow.actions.create({ name: 'lender/x', action: echo })
  await ow.packages.create({
    name: 'bound', package: { binding: { namespace: '_', name: 'lender' }, parameters: [{ key: 'a', value: 2 }] }
  })
  assert.deepStrictEqual(await ow.actions.invoke({ name: 'bound/x', blocking: true, result: true }), { a: 2 })
})

test('a trigger fires what its rules say', async () => {
  const trigger = await ow.triggers.create({ name: 't' })
  assert.deepStrictEqual([trigger.limits, trigger.annotations], [{}, []])
  await assert.rejects(ow.triggers.create({ name: 't' }), { statusCode: 409 })
  await ow.actions.create({ name: 'sink', action: echo })
  const rule = await ow.rules.create({ name: 'r', action: 'sink', trigger: 't' })
  assert.deepStrictEqual([rule.action, rule.trigger], [{ path: namespace, name: 'sink' }, { path: namespace, name: 't' }])
  assert.strictEqual((await ow.rules.get('r')).status, 'active')
  const fired = await ow.triggers.invoke({ name: 't', params: { n: 5 } })
  assert.match(fired.activationId, /^[0-9a-f]{32}$/)
  for (let left = 100; ; left--) {
    const [ran] = await ow.activations.list({ name: 'sink', docs: true })
    if (ran) {
      assert.strictEqual(ran.response.result.n, 5)
      break
    }
    assert.ok(left > 0, 'the rule ran nothing')
    await sleep(100)
  }
  await ow.rules.disable({ name: 'r' })
  assert.strictEqual((await ow.rules.get('r')).status, 'inactive')
  await ow.rules.enable({ name: 'r' })
  assert.strictEqual((await ow.rules.get('r')).status, 'active')
  assert.strictEqual((await ow.rules.update({ name: 'r', action: 'sink', trigger: 't' })).version, '0.0.2')
  assert.strictEqual((await ow.triggers.update({ name: 't', trigger: { parameters: [{ key: 'k', value: 1 }] } })).version, '0.0.2')
  assert.deepStrictEqual((await ow.rules.list()).map(found => found.name), ['r'])
  assert.deepStrictEqual((await ow.triggers.list({ limit: 1 })).map(found => found.name), ['t'])
  await ow.rules.delete('r')
  await assert.rejects(ow.rules.get('r'), { statusCode: 404 })
  await ow.triggers.delete('t')
  await assert.rejects(ow.triggers.get('t'), { statusCode: 404 })
})

test('a feed hears of the life of its trigger', async () => {
  await ow.actions.create({ name: 'feed', action: echo, annotations: { feed: true } })
  await ow.triggers.create({ name: 'fed' })
  for (const [call, event] of [['create', 'CREATE'], ['get', 'READ'], ['update', 'UPDATE'], ['delete', 'DELETE']]) {
    const { response } = await ow.feeds[call]({ name: 'feed', trigger: 'fed', params: { k: 1 } })
    assert.strictEqual(response.result.lifecycleEvent, event)
    assert.strictEqual(response.result.triggerName, `/_/fed`)
    assert.strictEqual(response.result.authKey, process.env.__OW_API_KEY)
  }
})
