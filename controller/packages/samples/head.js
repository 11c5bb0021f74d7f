function main({ lines, num = 1 }) {
  if (!Array.isArray(lines)) {
    return { error: 'You must specify a lines parameter!' };
  }
  const count = Math.trunc(Number(num));
  return { lines: lines.slice(0, count), num: count };
}
