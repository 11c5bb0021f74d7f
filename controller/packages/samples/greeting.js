function main(args) {
  console.log('params:', args);
  const name = args.name || args.payload || 'stranger';
  const place = args.place || 'somewhere';
  return { payload: `Hello, ${name} from ${place}!` };
}
