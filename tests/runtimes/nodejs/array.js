function main() {
    return ['a', 'b'];
}
