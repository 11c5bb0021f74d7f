function niam(p) { return { via: 'niam' } }
