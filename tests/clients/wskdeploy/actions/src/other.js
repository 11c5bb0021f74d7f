function other() { return { via: 'other' } }
