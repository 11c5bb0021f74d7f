function main() {
    throw new Error('nooooo');
}
