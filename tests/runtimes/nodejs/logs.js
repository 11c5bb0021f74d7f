function main({ lines }) {
    for (let i = 0; i < lines; i++) {
        console.log('out ' + 'x'.repeat(90));
        console.error('err ' + 'x'.repeat(90));
    }
    return { lines };
}
