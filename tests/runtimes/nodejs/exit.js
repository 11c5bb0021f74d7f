function main() {
    process.exit(3);
}
