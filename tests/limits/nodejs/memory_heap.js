// Takes it bit by bit, as objects of the language.
const hog = [];
function main({ calm }) {
  if (calm) return { host: require('os').hostname() };
  for (let i = 0; i < 1 << 24; i++) hog.push({ i, text: `object ${i}` });
  return { objects: hog.length };
}
