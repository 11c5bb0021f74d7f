// Writes one file until it may not.
const fs = require('fs');
function main({ calm }) {
  if (calm) return { host: require('os').hostname() };
  const path = `${require('os').tmpdir()}/large`;
  const file = fs.openSync(path, 'w');
  const block = Buffer.alloc(1 << 20);
  let count = 0;
  let code = '';
  while (count < 200 << 20 && !code) {
    try { count += fs.writeSync(file, block); } catch (thrown) { code = thrown.code; }
  }
  fs.closeSync(file);
  fs.unlinkSync(path);
  return { count, code };
}
