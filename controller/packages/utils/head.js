function main(args) {
  const lines = args.lines || [];
  const num = args.num || 1;
  return { lines: lines.slice(0, num), num };
}
