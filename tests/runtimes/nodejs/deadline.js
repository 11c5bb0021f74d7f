function main() {
    return { left: Number(process.env.__OW_DEADLINE) - Date.now() };
}
