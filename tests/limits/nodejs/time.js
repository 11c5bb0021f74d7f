function main({ calm }) {
  if (calm) return { host: require('os').hostname() };
  for (;;);
}
