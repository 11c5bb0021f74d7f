module.exports = name => ({ greeting: `Hello ${name}!` });
