// The same with files that have no name any more.
const fs = require('fs');
function main({ calm }) {
  if (calm) return { host: require('os').hostname() };
  const block = Buffer.alloc(8 << 20, 1);
  try {
    for (let i = 0; i < 40; i++) {
      const path = `${require('os').tmpdir()}/file${i}`;
      const file = fs.openSync(path, 'w');
      fs.unlinkSync(path);
      fs.writeSync(file, block);
    }
  } catch (error) {
    return { code: error.code };
  }
  return new Promise(done => setTimeout(done, 50_000, { files: 40 }));
}
