<?php

// Takes more than any container has.
$hog = [];

function main(array $args): array
{
    global $hog;
    if ($args['calm'] ?? false) {
        return ['host' => gethostname()];
    }
    for ($i = 0; $i < 64; $i++) {
        $hog[] = str_repeat('x', 16 << 20);
    }
    return ['blocks' => count($hog)];
}
