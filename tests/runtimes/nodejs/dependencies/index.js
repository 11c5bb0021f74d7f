const greeter = require('greeter');
exports.main = ({ name }) => greeter(name);
