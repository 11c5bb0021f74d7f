// As the program: each line ends with a line feed.
function main({ lines }) {
  if (!Array.isArray(lines)) {
    return { error: 'You must specify a lines parameter!' };
  }
  return { lines, payload: lines.map(line => `${line}\n`).join('') };
}
