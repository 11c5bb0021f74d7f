const openwhisk = require('openwhisk');

// Invokes itself until nothing is left.
function main(args) {
  const n = parseInt(args.n, 10);
  console.log(n);
  if (n === 0) {
    console.log('Happy New Year!');
  } else if (n > 0) {
    return openwhisk().actions.invoke({ name: process.env.__OW_ACTION_NAME, params: { n: n - 1 } });
  }
}
