<?php

require __DIR__ . '/lib/greet.php';

function main(array $args): array
{
    return greet($args['name']);
}
