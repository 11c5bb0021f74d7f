function main() {
  return { date: new Date() };
}
