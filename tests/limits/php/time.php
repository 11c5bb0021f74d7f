<?php

function main(array $args): array
{
    if ($args['calm'] ?? false) {
        return ['host' => gethostname()];
    }
    while (true) {
    }
}
