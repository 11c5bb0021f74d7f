<?php

function main(array $args): array
{
    for ($i = 0; $i < $args['lines']; $i++) {
        echo 'out ', str_repeat('x', 90), "\n";
        fwrite(STDERR, 'err ' . str_repeat('x', 90) . "\n");
    }
    return $args;
}
