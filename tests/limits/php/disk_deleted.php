<?php

// The same with files that have no name any more.
$files = [];

function main(array $args): array
{
    global $files;
    if ($args['calm'] ?? false) {
        return ['host' => gethostname()];
    }
    $block = str_repeat('x', 8 << 20);
    for ($i = 0; $i < 40; $i++) {
        $path = sys_get_temp_dir() . "/file$i";
        $files[] = $file = fopen($path, 'w');
        unlink($path);
        if (@fwrite($file, $block) !== strlen($block)) {
            return ['code' => 'ENOSPC'];
        }
    }
    sleep(50);
    return ['files' => 40];
}
