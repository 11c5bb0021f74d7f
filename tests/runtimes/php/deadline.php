<?php

function main(array $args): array
{
    return ['left' => (int) $_ENV['__OW_DEADLINE'] - microtime(true) * 1000];
}
