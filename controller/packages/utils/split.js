function main({ payload, separator }) {
  return { lines: String(payload).split(separator || /\r?\n/), payload };
}
