// Actions by the JavaScript client.
const assert = require('node:assert')
const { test } = require('node:test')
const openwhisk = require('openwhisk')

const ow = openwhisk()
const namespace = process.env.NAMESPACE
const echo = 'function main(args) { return args }'

test('an action is created, read, changed and deleted', async () => {
  const created = await ow.actions.create({ name: 'a', action: echo, params: { k: 1 }, annotations: { note: 'x' } })
  assert.strictEqual(created.namespace, namespace)
  assert.strictEqual(created.version, '0.0.1')
  assert.strictEqual(created.exec.code, echo)
  assert.deepStrictEqual(created.parameters, [{ key: 'k', value: 1 }])
  await assert.rejects(ow.actions.create({ name: 'a', action: echo }), { name: 'OpenWhiskError', statusCode: 409 })
  const updated = await ow.actions.update({ name: 'a', action: echo, params: { l: 2 } })
  assert.strictEqual(updated.version, '0.0.2')
  assert.deepStrictEqual(updated.parameters, [{ key: 'l', value: 2 }])
  assert.strictEqual((await ow.actions.get('a')).exec.code, echo)
  assert.strictEqual((await ow.actions.get({ name: 'a', code: false })).exec.code, undefined)
  await ow.actions.delete('a')
  await assert.rejects(ow.actions.get('a'), { statusCode: 404 })
  await assert.rejects(ow.actions.delete('a'), { statusCode: 404 })
})

test('kind, limits and version are passed on', async () => {
  const action = await ow.actions.create({
    name: 'py', action: 'def main(args): return {"py": True}', kind: 'python:default', version: '1.2.3',
    limits: { timeout: 20000, memory: 128, logs: 1 }
  })
  assert.match(action.exec.kind, /^python:/)
  assert.strictEqual(action.version, '1.2.3')
  assert.strictEqual(action.limits.timeout, 20000)
  assert.deepStrictEqual(await ow.actions.invoke({ name: 'py', blocking: true, result: true }), { py: true })
})

test('an archive is sent as a buffer', async () => {
  // A zip of one stored file, index.js.
  const code = Buffer.from("exports.main = () => ({ zipped: true })\n")
  const action = await ow.actions.create({ name: 'zip', action: zip('index.js', code) })
  assert.strictEqual(action.exec.binary, true)
  assert.deepStrictEqual(await ow.actions.invoke({ name: 'zip', blocking: true, result: true }), { zipped: true })
})

test('an action is invoked in every way', async () => {
  await ow.actions.create({ name: 'e', action: echo })
  const accepted = await ow.actions.invoke('e')
  assert.match(accepted.activationId, /^[0-9a-f]{32}$/)
  const record = await ow.actions.invoke({ name: 'e', blocking: true, params: { a: 1 } })
  assert.strictEqual(record.response.success, true)
  assert.deepStrictEqual(record.response.result, { a: 1 })
  for (const name of ['e', `/${namespace}/e`, `/_/e`]) {
    assert.deepStrictEqual(await ow.actions.invoke({ name, blocking: true, result: true, params: { b: name } }), { b: name })
  }
})

test('what fails tells why', async () => {
  await ow.actions.create({ name: 'f', action: 'function main() { return { error: "on purpose" } }' })
  const failed = ow.actions.invoke({ name: 'f', blocking: true })
  await assert.rejects(failed, error => {
    assert.strictEqual(error.statusCode, 502)
    assert.strictEqual(error.error.response.result.error, 'on purpose')
    return /Returned HTTP 502 \(Bad Gateway\) --> "on purpose"/.test(error.message)
  })
})

test('lists have pages and a count', async () => {
  const all = await ow.actions.list()
  assert.ok(all.length > 2 && all.every(action => action.namespace === namespace))
  assert.strictEqual((await ow.actions.list({ limit: 2, skip: 1 })).length, 2)
  assert.strictEqual((await ow.actions.list({ count: true })).actions, all.length)
})

test('a sequence is made and run', async () => {
  await ow.actions.create({ name: 'one', action: 'function main(a) { return { n: (a.n || 0) + 1 } }' })
  const sequence = await ow.actions.create({ name: 's', sequence: [`/${namespace}/one`, `/${namespace}/one`] })
  assert.deepStrictEqual(sequence.exec.components, [`/${namespace}/one`, `/${namespace}/one`])
  assert.deepStrictEqual(await ow.actions.invoke({ name: 's', blocking: true, result: true, params: { n: 1 } }), { n: 3 })
})

test('the system packages are there', async () => {
  const sorted = await ow.actions.invoke({ name: '/whisk.system/utils/sort', blocking: true, result: true })
  assert.strictEqual(sorted.length, 0)
  const names = await ow.actions.invoke({ name: '/whisk.system/utils/namespace', blocking: true, result: true })
  assert.deepStrictEqual(names, { namespace })
  const words = await ow.actions.invoke({
    name: '/whisk.system/samples/helloPromises', blocking: true, result: true, params: { name: 'Ann', place: 'Oslo' }
  })
  assert.deepStrictEqual(words, { lines: ['Hello,', 'Ann', 'from', 'Oslo!'] })
})

function zip (name, content) {
  const zlib = require('node:zlib')
  const crc = typeof zlib.crc32 === 'function' ? zlib.crc32(content) : crc32(content)
  const [file, entry, end] = [Buffer.alloc(30), Buffer.alloc(46), Buffer.alloc(22)]
  file.writeUInt32LE(0x04034b50, 0); file.writeUInt16LE(20, 4)
  file.writeUInt32LE(crc, 14); file.writeUInt32LE(content.length, 18); file.writeUInt32LE(content.length, 22)
  file.writeUInt16LE(name.length, 26)
  entry.writeUInt32LE(0x02014b50, 0); entry.writeUInt16LE(20, 4); entry.writeUInt16LE(20, 6)
  entry.writeUInt32LE(crc, 16); entry.writeUInt32LE(content.length, 20); entry.writeUInt32LE(content.length, 24)
  entry.writeUInt16LE(name.length, 28)
  const size = file.length + name.length + content.length
  end.writeUInt32LE(0x06054b50, 0); end.writeUInt16LE(1, 8); end.writeUInt16LE(1, 10)
  end.writeUInt32LE(entry.length + name.length, 12); end.writeUInt32LE(size, 16)
  return Buffer.concat([file, Buffer.from(name), content, entry, Buffer.from(name), end])
}

function crc32 (bytes) {
  let crc = ~0
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  }
  return ~crc >>> 0
}
