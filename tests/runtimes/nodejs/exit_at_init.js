process.exit(3);
function main() {
    return {};
}
