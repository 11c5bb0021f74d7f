<?php

function main(array $args): array
{
    $host = gethostname();
    return ($args['calm'] ?? false) ? ['host' => $host] : ['host' => $host, 'text' => str_repeat('ü', 1 << 20)];
}
