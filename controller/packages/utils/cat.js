function main(args) {
  const lines = args.lines || [];
  return { lines, payload: lines.join('\n') };
}
