// Opens files until it may not.
const fs = require('fs');
function main({ calm }) {
  if (calm) return { host: require('os').hostname() };
  const files = [];
  let code = '';
  while (files.length < 2000 && !code) {
    try { files.push(fs.openSync('/dev/null')); } catch (thrown) { code = thrown.code; }
  }
  files.forEach(file => fs.closeSync(file));
  return { count: files.length, code };
}
