<?php

// Takes it bit by bit, as objects of the language.
$hog = [];

function main(array $args): array
{
    global $hog;
    if ($args['calm'] ?? false) {
        return ['host' => gethostname()];
    }
    for ($i = 0; $i < 1 << 24; $i++) {
        $hog[] = (object) ['i' => $i, 'text' => "object $i"];
    }
    return ['objects' => count($hog)];
}
