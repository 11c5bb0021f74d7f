<?php

function main(array $args): array
{
    $winter = $args['delimiter'] . ' ☃ ' . $args['delimiter'];
    echo "$winter\n";
    return ['winter' => $winter];
}
