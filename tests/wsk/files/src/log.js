function main(p) { console.log('fired', JSON.stringify(p)); return p }
