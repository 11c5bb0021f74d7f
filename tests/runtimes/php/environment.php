<?php

const NAMES = ['api_host', 'api_key', 'namespace', 'action_name', 'action_version', 'activation_id', 'transaction_id',
    'deadline'];

function main(array $args): array
{
    $found = [];
    foreach (NAMES as $name) {
        $value = getenv('__OW_' . strtoupper($name));
        $found[$name] = $value === ($_ENV['__OW_' . strtoupper($name)] ?? false) && $value !== false ? $value : null;
    }
    return $found;
}
