exports.v = 3
