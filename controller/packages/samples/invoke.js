const openwhisk = require('openwhisk');

// Returns the whole activation of another action.
async function main() {
  const activation = await openwhisk().actions.invoke({ name: '/whisk.system/utils/date', blocking: true });
  console.log(`It is now ${activation.response.result.date}`);
  return activation;
}
