exports.main = p => ({ zipped: true, v: require('./v').v })
