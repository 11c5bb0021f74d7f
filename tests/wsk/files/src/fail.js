function main() { return { error: 'this failed on purpose' } }
