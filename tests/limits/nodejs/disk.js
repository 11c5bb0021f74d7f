// Writes files, each of a size that is allowed, and waits for what becomes of that.
const fs = require('fs');
function main({ calm }) {
  if (calm) return { host: require('os').hostname() };
  const block = Buffer.alloc(8 << 20, 1);
  try {
    for (let i = 0; i < 40; i++) fs.writeFileSync(`${require('os').tmpdir()}/file${i}`, block);
  } catch (error) {
    return { code: error.code };
  }
  return new Promise(done => setTimeout(done, 50_000, { files: 40 }));
}
