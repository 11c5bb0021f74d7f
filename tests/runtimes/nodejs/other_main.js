exports.niam = args => args;
