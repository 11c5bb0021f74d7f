function main(p) { return p.step ? { params: { done: p.greeting } } : { action: 'acts/file', params: {}, state: { step: 1 } } }
