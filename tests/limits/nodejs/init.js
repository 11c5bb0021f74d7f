// Does what it is told while it is loaded.
const hog = [];
switch (process.env.TROUBLE) {
  case 'time': for (;;);
  case 'exit': process.exit(1);
  case 'memory': for (;;) hog.push(Buffer.alloc(16 << 20, 1));
  case 'text': throw new Error('x'.repeat(2 << 20));
}
const main = () => ({ host: require('os').hostname() });
