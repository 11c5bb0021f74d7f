// The same as wordCount, a moment later: what an action returns may be a promise.
function main({ payload }) {
  return new Promise(resolve => {
    setTimeout(() => {
      const text = String(payload);
      const count = text.split(' ').length;
      console.log(`The message '${text}' has ${count} words`);
      resolve({ count });
    }, 100);
  });
}
