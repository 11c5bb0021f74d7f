function main(args) { return { statusCode: 200, headers: { 'Content-Type': 'text/plain' }, body: args.__ow_body === undefined ? 'plain' : 'raw' } }
