const greet = require('./lib/greet');
exports.main = ({ name }) => greet(name);
