// Its child is killed for want of memory, and it goes on; later it ends by itself.
const { spawnSync } = require('child_process');
function main({ calm, exit }) {
  if (calm) return { host: require('os').hostname() };
  if (exit) process.exit(1);
  const child = spawnSync(process.execPath, ['-e', 'Buffer.alloc(1 << 30, 1)']);
  return { killed: child.signal === 'SIGKILL' };
}
