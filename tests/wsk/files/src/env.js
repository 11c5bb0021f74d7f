function main() { return { ns: process.env.__OW_NAMESPACE, name: process.env.__OW_ACTION_NAME, haskey: !!process.env.__OW_API_KEY } }
