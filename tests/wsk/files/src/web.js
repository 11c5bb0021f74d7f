function main(p) { return { statusCode: 200, headers: { 'Content-Type': 'application/json' }, body: { method: p.__ow_method, path: p.__ow_path, name: p.name || 'none' } } }
