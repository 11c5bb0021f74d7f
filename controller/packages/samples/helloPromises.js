const openwhisk = require('openwhisk');

// Awaits another action, and passes on the words of what it says.
async function main({ name, place }) {
  const activation = await openwhisk().actions.invoke({
    name: '/whisk.system/samples/greeting',
    blocking: true,
    params: { name, place }
  });
  return { lines: activation.response.result.payload.split(' ') };
}
