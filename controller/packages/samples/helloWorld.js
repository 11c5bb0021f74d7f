function main({ payload }) {
  console.log(`hello ${payload}!`);
}
