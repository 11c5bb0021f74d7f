// Compositions: every combinator that needs no Redis, deployed by the composer's own client and run.
const assert = require('node:assert')
const { test, before } = require('node:test')
const composer = require('openwhisk-composer')
const conductor = require('openwhisk-composer/client')

const ow = conductor()
const invoke = (name, params = {}) => ow.actions.invoke({ name, blocking: true, result: true, params })

// Deploys a composition under that name and runs it.
async function run (name, composition, params) {
  await ow.compositions.deploy(Object.assign({ name }, composition.compile()), true)
  return invoke(name, params)
}

before(async () => {
  await ow.actions.update({ name: 'echo', action: 'function main(a) { return a }' })
  await ow.actions.update({ name: 'inc', action: 'function main({ n }) { return { n: n + 1 } }' })
  await ow.actions.update({ name: 'even', action: 'function main({ n }) { return { value: n % 2 === 0 } }' })
  await ow.actions.update({ name: 'small', action: 'function main({ n }) { return { value: n < 3 } }' })
  await ow.actions.update({ name: 'fail', action: 'function main() { return { error: "on purpose" } }' })
})

const cases = [
  ['action', composer.action('inc'), { n: 1 }, { n: 2 }],
  ['task', composer.task('inc'), { n: 1 }, { n: 2 }],
  ['sequence', composer.sequence('inc', 'inc', 'inc'), { n: 1 }, { n: 4 }],
  ['empty', composer.empty(), { n: 1 }, { n: 1 }],
  ['value', composer.value({ v: 1 }), { n: 1 }, { v: 1 }],
  ['literal', composer.literal({ v: 1 }), {}, { v: 1 }],
  ['function', composer.function(({ n }) => ({ n: n * 10 })), { n: 2 }, { n: 20 }],
  ['if', composer.if('even', 'echo', 'inc'), { n: 2 }, { n: 2 }],
  ['else', composer.if('even', 'echo', 'inc'), { n: 3 }, { n: 4 }],
  ['if_nosave', composer.if_nosave('even', composer.literal({ yes: true }), composer.literal({ yes: false })), { n: 3 }, { yes: false }],
  ['while', composer.while('small', 'inc'), { n: 0 }, { n: 3 }],
  ['dowhile', composer.dowhile('inc', 'small'), { n: 5 }, { n: 6 }],
  ['repeat', composer.repeat(3, 'inc'), { n: 1 }, { n: 4 }],
  ['try', composer.try('fail', ({ error }) => ({ caught: error })), {}, { caught: 'on purpose' }],
  ['finally', composer.finally('fail', () => ({ done: true })), {}, { done: true }],
  ['retry', composer.try(composer.retry(2, 'fail'), ({ error }) => ({ caught: error })), {}, { caught: 'on purpose' }],
  ['retain', composer.retain('inc'), { n: 1 }, { params: { n: 1 }, result: { n: 2 } }],
  ['retain_catch', composer.retain_catch('fail'), { n: 1 }, { params: { n: 1 }, result: { error: 'on purpose' } }],
  ['merge', composer.merge(composer.literal({ m: 1 })), { n: 1 }, { n: 1, m: 1 }],
  ['let', composer.let({ x: 5 }, params => ({ sum: params.n + x })), { n: 1 }, { sum: 6 }], // eslint-disable-line no-undef
  ['mask', composer.let({ x: 5 }, composer.let({ x: 6 }, composer.mask(() => ({ x })))), {}, { x: 5 }], // eslint-disable-line no-undef
  ['dynamic', composer.sequence(({ n }) => ({ type: 'action', name: 'inc', params: { n } }), composer.dynamic()), { n: 1 }, { n: 2 }]
]

for (const [name, composition, params, expected] of cases) {
  test(name, async () => assert.deepStrictEqual(await run(`c-${name}`, composition, params), expected))
}

test('an action that a composition brings along', async () => {
  const own = composer.action('own', { action: function main () { return { own: true } } })
  assert.deepStrictEqual(await run('c-own', own), { own: true })
})

test('a composition in a composition', async () => {
  await run('inner', composer.sequence('inc', 'inc'), { n: 0 })
  assert.deepStrictEqual(await run('c-outer', composer.sequence('inner', 'inner'), { n: 1 }), { n: 5 })
})

test('an error ends a composition', async () => {
  await assert.rejects(run('c-error', composer.sequence('fail', 'echo')), error => {
    return error.statusCode === 502 && JSON.stringify(error.error).includes('on purpose')
  })
})

test('the record holds the steps, the action its description', async () => {
  const record = await ow.actions.invoke({ name: 'c-sequence', blocking: true, params: { n: 1 } })
  assert.ok(record.logs.length >= 3 && record.logs.every(id => /^[0-9a-f]{32}$/.test(id)))
  const { annotations } = await ow.actions.get({ name: 'c-sequence', code: false })
  const keys = annotations.map(annotation => annotation.key)
  for (const key of ['conductor', 'composerVersion', 'conductorVersion', 'provide-api-key']) assert.ok(keys.includes(key), key)
})
