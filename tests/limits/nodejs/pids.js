// Starts processes until it may not.
const { spawn } = require('child_process');
async function main({ calm }) {
  if (calm) return { host: require('os').hostname() };
  const children = [];
  const starts = child => new Promise(done => child.once('spawn', () => done(true)).once('error', () => done(false)));
  while (children.length < 500) {
    const child = spawn('sleep', ['60'], { stdio: 'ignore' });
    if (!await starts(child)) break;
    children.push(child);
  }
  await Promise.all(children.map(child => new Promise(done => { child.once('exit', done); child.kill('SIGKILL'); })));
  return { count: children.length };
}
