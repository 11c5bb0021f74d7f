// Prints 4 MB.
function main({ calm }) {
  if (!calm) for (let i = 0; i < 40; i++) process.stdout.write(`${'x'.repeat(99)}\n`.repeat(1000));
  console.log('last');
  return { host: require('os').hostname() };
}
