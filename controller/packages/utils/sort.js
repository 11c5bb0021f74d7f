function main(args) {
  const lines = args.lines || [];
  return { lines: lines.sort(), length: lines.length };
}
