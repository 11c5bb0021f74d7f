<?php

$at_load = getenv('SOME_VAR');

function main(array $args): array
{
    global $at_load;
    return ['at_load' => $at_load, 'SOME_VAR' => $_ENV['SOME_VAR'], 'ANOTHER_VAR' => $_ENV['ANOTHER_VAR']];
}
