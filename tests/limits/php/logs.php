<?php

// Prints 4 MB.
function main(array $args): array
{
    if (!($args['calm'] ?? false)) {
        for ($i = 0; $i < 40_000; $i++) {
            echo str_repeat('x', 99), "\n";
        }
    }
    echo "last\n";
    return ['host' => gethostname()];
}
