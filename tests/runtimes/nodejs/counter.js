let count = 0;
function main() {
    return { count: ++count };
}
