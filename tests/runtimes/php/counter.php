<?php

$count = 0;

function main(array $args): array
{
    global $count;
    return ['count' => ++$count];
}
