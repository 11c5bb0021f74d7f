const at_load = process.env.SOME_VAR;
function main() {
    return { at_load, SOME_VAR: process.env.SOME_VAR, ANOTHER_VAR: process.env.ANOTHER_VAR };
}
