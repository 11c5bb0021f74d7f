exports.main = () => ({ lib: require('./lib/lib.js'), more: require('./more.js'), left: require('fs').existsSync(__dirname + '/left/out.txt') })
