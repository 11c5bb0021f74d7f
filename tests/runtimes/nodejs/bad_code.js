function main() {
    return {
}
