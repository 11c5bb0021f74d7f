function main(p) { console.log('saying hello to', p.name); return { greeting: 'Hello ' + (p.name || 'stranger') + (p.place ? ' from ' + p.place : '') } }
