exports.main = async args => {
    console.log('hello stdout');
    console.error('hello stderr');
    return args;
};
