function main(args) { return { greeting: `${args.greeting || 'Hi'} ${args.name}` } }
