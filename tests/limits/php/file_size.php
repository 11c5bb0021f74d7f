<?php

// Writes one file until it may not.
function main(array $args): array
{
    if ($args['calm'] ?? false) {
        return ['host' => gethostname()];
    }
    $file = tmpfile();
    $block = str_repeat('x', 1 << 20);
    $count = 0;
    while ($count < 200 << 20 && ($written = @fwrite($file, $block)) > 0) {
        $count += $written;
    }
    $code = str_contains(error_get_last()['message'] ?? '', 'File too large') ? 'EFBIG' : '';
    fclose($file);
    return ['count' => $count, 'code' => $code];
}
