module.exports = 'more'
