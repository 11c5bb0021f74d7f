<?php

function main(array $args): array
{
    return ['greeting' => 'Hello ' . ($args['name'] ?? 'stranger') . '!'];
}
