function main(args) {
  const params = {};
  for (const key of Object.keys(args).sort()) {
    console.log(`params.${key}:`, args[key]);
    params[key] = args[key];
  }
  return { params };
}
