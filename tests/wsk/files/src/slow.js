function main(p) { return new Promise(r => setTimeout(() => r({ slept: p.ms }), p.ms)) }
