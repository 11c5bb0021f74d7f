<?php

// Opens files until it may not.
function main(array $args): array
{
    if ($args['calm'] ?? false) {
        return ['host' => gethostname()];
    }
    $files = [];
    while (count($files) < 2000 && ($file = @fopen('/dev/null', 'r')) !== false) {
        $files[] = $file;
    }
    $code = str_contains(error_get_last()['message'] ?? '', 'Too many open files') ? 'EMFILE' : '';
    $count = count($files);
    array_map('fclose', $files);
    return ['count' => $count, 'code' => $code];
}
