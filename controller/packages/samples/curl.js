// Fetches a page; what goes wrong is the message, too.
async function main({ payload }) {
  const address = /^https?:/.test(payload) ? payload : `http://${payload}`;
  try {
    const answer = await fetch(address, { signal: AbortSignal.timeout(10000) });
    return { msg: await answer.text() };
  } catch (error) {
    console.log(error);
    return { msg: String(error.cause || error) };
  }
}
