function main({ calm }) {
  const host = require('os').hostname();
  return calm ? { host } : { host, text: 'ü'.repeat(1 << 20) };
}
